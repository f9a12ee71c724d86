"""What a simulation leaves: per-job columns and where they came from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rl_sched.cluster import ClusterSpec
from rl_sched.config import content_id
from rl_sched.sim.record import DONE, RUNNING, State
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
    gpu_milli: np.ndarray  # (n,) thousandths of each GPU
    gpu_type: np.ndarray  # (n,) pool of its last segment, see ``ClusterSpec``
    user: np.ndarray  # (n,)
    priority: np.ndarray  # (n,)
    deadline_s: np.ndarray  # (n,) inf = none
    waited_s: np.ndarray  # (n,) time in the queue, after preemptions and failures too
    ran_s: np.ndarray  # (n,) time on GPUs over all segments that have ended
    preemptions: np.ndarray  # (n,)
    kills: np.ndarray  # (n,) by failures of nodes
    alloc: np.ndarray  # (A,) GPU numbers of the last segments, gang after gang in workload order
    alloc_at: np.ndarray  # (n,) first of the job's GPUs in ``alloc``
    makespan_s: float  # first submission to last event
    busy_gpu_s: float
    pool_busy_gpu_s: np.ndarray  # (P,) the same per pool
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

    def gpus_of(self, job: int) -> np.ndarray:
        """GPU numbers of the last segment of a job; empty if it never started."""
        first = int(self.alloc_at[job])
        return self.alloc[first : first + (int(self.num_gpus[job]) if self.gpu_type[job] >= 0 else 0)]

    @property
    def gpus(self) -> tuple[np.ndarray, ...]:
        """n arrays of GPU numbers."""
        return tuple(self.gpus_of(job) for job in range(len(self.submit_s)))

    def nodes_of(self, job: int) -> list[list[int]]:
        """``[[node, GPUs on it], ...]`` of the last segment of a job, in the order in which they were given."""
        counts: dict[int, int] = {}
        for node in self.cluster.gpu_node[self.gpus_of(job)].tolist():
            counts[node] = counts.get(node, 0) + 1
        return [[node, count] for node, count in counts.items()]

    @classmethod
    def of(cls, state: State, e: int, workload: Workload, rules: Rules, *, workload_hash: str = "") -> RunResult:
        """Reads record ``e``, which holds ``workload``."""
        v, n = state.views, len(workload)
        head, jobs = v.head[e], v.jobs[e, :n]
        now_s = float(head["now"])
        running = jobs["state"] == RUNNING
        finish = np.where(jobs["state"] == DONE, jobs["finish_s"], np.nan)
        start = jobs["start_s"].copy()
        zeros = np.zeros(n, np.int32)
        if rules.plain:
            since, waited, kills, preemptions = start, start - workload.submit_s, zeros, zeros
            ran = finish - start
        else:
            life = v.life[e, :n]
            since, waited = life["segment_s"], life["waited_s"].copy()
            ran, kills, preemptions = life["attained_s"].copy(), life["kills"].copy(), life["preemptions"].copy()
        pool_busy = v.types["busy_gpu_s"][e].copy()
        held = (now_s - since[running]) * workload.gpu_demand[running]
        pool_busy += np.bincount(jobs["type"][running], weights=held, minlength=len(pool_busy))
        return cls(
            submit_s=workload.submit_s,
            start_s=start,
            finish_s=finish,
            duration_s=v.dur[e, :n].min(axis=1),
            num_gpus=workload.num_gpus,
            gpu_milli=workload.gpu_milli,
            gpu_type=jobs["type"].copy(),
            user=workload.user,
            priority=workload.priority,
            deadline_s=workload.deadline_s,
            waited_s=waited,
            ran_s=ran,
            preemptions=preemptions,
            kills=kills,
            alloc=v.alloc[e].copy(),
            alloc_at=jobs["alloc"].copy(),
            makespan_s=float(now_s - workload.submit_s[0]),
            busy_gpu_s=float(head["busy_gpu_s"]),
            pool_busy_gpu_s=pool_busy,
            cluster=state.cluster,
            decisions=int(head["decisions"]),
            workload_hash=workload_hash or workload.content_hash(),
            rules_hash=content_id(rules),
        )
