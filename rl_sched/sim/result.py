"""What a simulation leaves: per-job columns and where they came from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rl_sched.cluster import ClusterSpec
from rl_sched.config import content_id
from rl_sched.sim.record import State
from rl_sched.sim.rules import Rules
from rl_sched.workload import Workload


@dataclass(frozen=True, slots=True)
class RunResult:
    """One finished (or cut) episode. n jobs, in workload order.

    Jobs that did not finish have ``finish_s`` nan (and ``start_s`` nan, ``gpu_type`` -1 if they never started).
    """

    submit_s: np.ndarray  # (n,)
    start_s: np.ndarray  # (n,)
    finish_s: np.ndarray  # (n,)
    duration_s: np.ndarray  # (n,) fastest possible run time on this cluster
    num_gpus: np.ndarray  # (n,)
    gpu_type: np.ndarray  # (n,)
    user: np.ndarray  # (n,)
    priority: np.ndarray  # (n,)
    gpus: tuple[np.ndarray, ...]  # n arrays of GPU numbers, empty where the job never started
    makespan_s: float  # first submission to last event
    busy_gpu_s: float
    cluster: ClusterSpec
    decisions: int
    workload_hash: str
    rules_hash: str

    @property
    def jct_s(self) -> np.ndarray:
        """(n,) job completion times (finish - submission); nan where unfinished."""
        return self.finish_s - self.submit_s

    @property
    def wait_s(self) -> np.ndarray:
        """(n,) start - submission; nan where never started."""
        return self.start_s - self.submit_s

    @property
    def num_unfinished(self) -> int:
        return int(np.isnan(self.finish_s).sum())

    @classmethod
    def of(cls, state: State, e: int, workload: Workload, rules: Rules, *, workload_hash: str = "") -> RunResult:
        """Reads record ``e``, which holds ``workload``."""
        v, n = state.views, len(workload)
        head = v.head[e]
        jobs = v.jobs[e, :n].copy()
        unfinished = ~(jobs["finish_s"] <= head["now"])
        if head["one_start"] == 1:  # at equal times some completions may not have been handled
            held = v.gpus["job"][e]
            unfinished[held[held >= 0]] = True
        finish = jobs["finish_s"].copy()
        finish[unfinished] = np.nan
        alloc = v.alloc[e].copy()
        started = jobs["type"] >= 0
        none = np.zeros(0, np.int32)
        return cls(
            submit_s=workload.submit_s,
            start_s=jobs["start_s"].copy(),
            finish_s=finish,
            duration_s=v.dur[e, :n].min(axis=1),
            num_gpus=workload.num_gpus,
            gpu_type=jobs["type"].copy(),
            user=workload.user,
            priority=workload.priority,
            gpus=tuple(
                alloc[a : a + g] if ok else none
                for a, g, ok in zip(jobs["alloc"].tolist(), jobs["gang"].tolist(), started.tolist(), strict=True)
            ),
            makespan_s=float(head["now"] - workload.submit_s[0]),
            busy_gpu_s=float(head["busy_gpu_s"]),
            cluster=state.cluster,
            decisions=int(head["decisions"]),
            workload_hash=workload_hash or workload.content_hash(),
            rules_hash=content_id(rules),
        )
