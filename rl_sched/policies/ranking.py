"""Policies that are a fixed ranking of jobs: one method, and both the Python and the compiled door."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np

from rl_sched.sim.ranked import run_ranked
from rl_sched.sim.record import State
from rl_sched.sim.snapshot import Decision, Snapshot, Start, Wait
from rl_sched.workload import Workload


class JobTable(NamedTuple):
    """What a ranking may look at: columns that do not change while a job waits. n jobs."""

    submit_s: np.ndarray  # (n,)
    num_gpus: np.ndarray  # (n,)
    priority: np.ndarray  # (n,)
    fastest_s: np.ndarray  # (n,) run time on the job's fastest GPU type


class RankingPolicy(ABC):
    """Starts jobs in the order of their keys, each on the fastest GPU type where it fits now.

    Subclasses give ``keys``. ``strict`` = the first job in order blocks the others until it fits; else the first
    job that fits is started (backfill). Ties go to the job that arrived first.
    """

    strict: ClassVar[bool] = False

    @abstractmethod
    def keys(self, jobs: JobTable) -> tuple[np.ndarray, ...]:
        """Columns (n,) to sort by, the most important first, lowest first; () = order of arrival."""

    def decide(self, snapshot: Snapshot) -> Decision:
        if len(snapshot.job) == 0:
            return Wait()
        fastest = snapshot.duration_s.min(axis=1)
        keys = self.keys(JobTable(snapshot.submit_s, snapshot.num_gpus, snapshot.priority, fastest))
        order = np.lexsort(keys[::-1]) if keys else np.arange(len(snapshot.job))
        fits = np.asarray(snapshot.feasible.any(axis=1))[order]
        first = 0 if self.strict else int(fits.argmax())
        if not fits[first]:
            return Wait()
        row = order[first]
        duration = np.where(snapshot.feasible[row], snapshot.duration_s[row], np.inf)
        return Start(int(snapshot.job[row]), int(duration.argmin()))

    def run_compiled(self, state: State, e: int, workload: Workload) -> None:
        n = len(workload)
        fastest = state.views.dur[e, :n].min(axis=1)
        keys = self.keys(JobTable(workload.submit_s, workload.num_gpus, workload.priority, fastest))
        rank = np.zeros(n, np.int64)
        if keys:
            order = np.lexsort(keys[::-1])
            new = np.zeros(n, np.bool_)
            for key in keys:
                new[1:] |= key[order][1:] != key[order][:-1]
            rank[order] = np.cumsum(new)
        run_ranked(state, e, rank, strict=self.strict)
