"""Policies that are a fixed ranking of jobs: one method, and both the Python and the compiled door."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np

from rl_sched.sim.ranked import run_ranked
from rl_sched.sim.record import State
from rl_sched.sim.rules import Rules
from rl_sched.sim.snapshot import Decision, Snapshot, Start, Wait
from rl_sched.sim.watching import Watch
from rl_sched.workload import WHOLE_GPU, Workload


class JobTable(NamedTuple):
    """What a ranking may look at: columns that do not change while a job waits. n jobs."""

    submit_s: np.ndarray  # (n,)
    num_gpus: np.ndarray  # (n,)
    gpu_demand: np.ndarray  # (n,) GPUs that the job keeps busy, a fraction if it shares one
    priority: np.ndarray  # (n,)
    deadline_s: np.ndarray  # (n,) inf = none
    fastest_s: np.ndarray  # (n,) whole run time on the job's fastest GPU type


class RankingPolicy(ABC):
    """Starts jobs in the order of their keys, each on the fastest GPU type where it fits now.

    Subclasses give ``keys``. ``strict`` = the first job in order blocks the others until it fits; else the first
    job that fits is started (backfill). Ties go to the job that arrived first.
    """

    strict: ClassVar[bool] = False

    @abstractmethod
    def keys(self, jobs: JobTable) -> tuple[np.ndarray, ...]:
        """Columns (n,) to sort by, the most important first, lowest first; ties in order of the queue."""

    def decide(self, snapshot: Snapshot) -> Decision:
        if len(snapshot.job) == 0:
            return Wait()
        table = JobTable(
            snapshot.submit_s,
            snapshot.num_gpus,
            snapshot.num_gpus * (snapshot.gpu_milli / WHOLE_GPU),
            snapshot.priority,
            snapshot.deadline_s,
            snapshot.total_s,
        )
        keys = self.keys(table)
        order = np.lexsort(keys[::-1])
        fits = np.asarray(snapshot.feasible.any(axis=1))[order]
        if self.strict:
            _, heads = np.unique(snapshot.vc[order], return_index=True)  # the first of each virtual cluster
            first = np.zeros(len(order), np.bool_)
            first[heads] = True
            fits &= first
        if not fits.any():
            return Wait()
        row = order[int(fits.argmax())]
        duration = np.where(snapshot.feasible[row], snapshot.duration_s[row], np.inf)
        return Start(int(snapshot.job[row]), int(duration.argmin()))

    def can_compile(self, rules: Rules) -> bool:
        """With a window, jobs that come back from failures would have to be kept apart: left to ``decide``."""
        return not rules.preemption and (rules.plain or rules.window is None)

    def run_compiled(self, state: State, e: int, workload: Workload, watch: Watch | None = None) -> None:
        n = len(workload)
        fastest = state.views.dur[e, :n].min(axis=1)
        if not state.rules.plain:
            fastest *= state.views.life["visible"][e, :n]
        w = workload
        keys = self.keys(JobTable(w.submit_s, w.num_gpus, w.gpu_demand, w.priority, w.deadline_s, fastest))
        rank = np.asarray(keys[0], np.float64)
        if len(keys) > 1:
            order = np.lexsort(keys[::-1])
            new = np.zeros(n, np.bool_)
            for key in keys:
                new[1:] |= key[order][1:] != key[order][:-1]
            rank = np.empty(n)
            rank[order] = np.cumsum(new)
        run_ranked(state, e, rank, strict=self.strict, watch=watch)
