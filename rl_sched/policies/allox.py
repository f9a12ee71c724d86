"""AlloX: jobs go where a matching of jobs to machines puts them, so that the mean completion time is least."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from rl_sched.cluster import ClusterSpec
from rl_sched.errors import ConfigError
from rl_sched.policies.fifo import FifoBackfill
from rl_sched.policies.matching import Matching, match
from rl_sched.sim.loading import restart_costs
from rl_sched.sim.rules import Rules
from rl_sched.sim.snapshot import Decision, Preempt, Snapshot, Start, Wait
from rl_sched.workload import WHOLE_GPU, Workload

#: Least run time of a job, and least time until a busy GPU is free: an overdue one is not idle.
_LEAST_S = 1e-3
_IDLE = -1  # in ``Snapshot.running_job``


@dataclass(frozen=True)
class AlloX:
    """Plans all waiting jobs by a min-cost matching (``matching.match``) whenever something happens; starts the first.

    Le, Sun, Chowdhury and Liu, EuroSys 2020. Each job starts on the pool that the plan gives it, in the planned order;
    the first that does not fit keeps its place there, no later one overtakes it. A job that shares a GPU counts as one
    on a whole GPU in the plan.

    With preemption a second plan is made as if the running jobs had not been placed yet (but for those that share a
    GPU), their restart included. It is carried out, and jobs that it does not run where they run are preempted, if
    it makes the sum of all completion times, counted from now, smaller by a fraction of ``min_gain`` at least.

    Attributes:
        alpha: Only this part of the waiting jobs is planned, the oldest: fairness for a longer mean.
        depth: At most so many waiting jobs are planned, the oldest: time for a decision grows with the cube.
        min_gain: What moving running jobs must be worth; 0 = anything, 1 = none is ever preempted.

    Raises:
        ConfigError: A parameter is out of its range.
    """

    alpha: float = 1.0
    depth: int = 300
    min_gain: float = 0.1

    preemptive: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 < self.alpha <= 1:
            raise ConfigError(f"alpha must be above 0 and at most 1; it is {self.alpha}.")
        if self.depth < 1:
            raise ConfigError(f"depth must be at least 1; it is {self.depth}.")
        if not 0 <= self.min_gain <= 1:
            raise ConfigError(f"min_gain must be between 0 and 1; it is {self.min_gain}.")

    def player(self, workload: Workload, cluster: ClusterSpec, rules: Rules) -> MatchingPlayer:
        """What decides during one run."""
        return MatchingPlayer(self, restart_costs(workload.num_gpus, rules))


class _Jobs(NamedTuple):
    """Jobs to be matched. k jobs, P pools."""

    job: np.ndarray  # (k,) row in the workload
    num_gpus: np.ndarray  # (k,)
    duration_s: np.ndarray  # (k, P) from now on, inf = impossible
    pool: np.ndarray  # (k,) where it runs, -1 = it waits


class MatchingPlayer:
    """Plays ``AlloX`` on one workload.

    Args:
        policy: The parameters.
        restart_s: (n,) what each job pays after a preemption.
    """

    def __init__(self, policy: AlloX, restart_s: np.ndarray) -> None:
        self._policy = policy
        self._restart_s = restart_s
        self._looked_s = -np.inf
        self._leave: list[int] = []  # jobs to be preempted, and then
        self._queues: list[list[int]] = []  # per pool, jobs in the order in which they are to start

    def decide(self, snapshot: Snapshot) -> Decision:
        if snapshot.now_s != self._looked_s:
            self._look(snapshot)
        if self._leave:
            return Preempt(self._leave.pop())
        for pool, queue in enumerate(self._queues):
            while queue:
                row = np.flatnonzero(snapshot.job == queue[0])
                if row.size and not snapshot.feasible[row[0], pool]:
                    queue.clear()
                    break
                job = queue.pop(0)
                if row.size:  # else it is out of sight, behind the window
                    return Start(job, pool)
        return Wait() if snapshot.can_wait else FifoBackfill().decide(snapshot)

    def _look(self, snapshot: Snapshot) -> None:
        """Makes the plan of this instant."""
        self._looked_s = snapshot.now_s
        pools = len(snapshot.type_gpus)
        serves = np.isfinite(snapshot.remaining_s)
        until_s = np.where(snapshot.running_job == _IDLE, 0.0, np.maximum(snapshot.remaining_s, _LEAST_S))
        free_in_s = [until_s[serves & (snapshot.gpu_type == pool)] for pool in range(pools)]
        waiting = self._waiting(snapshot)
        plan, jobs, self._leave = match(waiting.duration_s, waiting.num_gpus, free_in_s), waiting, []
        if snapshot.preemptive and len(waiting.job):
            movable = self._movable(snapshot)
            both = _Jobs(*(np.concatenate(columns) for columns in zip(waiting, movable, strict=True)))
            held = np.isin(snapshot.running_job, movable.job)
            all_free = [np.where(held, 0.0, until_s)[serves & (snapshot.gpu_type == pool)] for pool in range(pools)]
            moved = match(both.duration_s, both.num_gpus, all_free)
            own_s = movable.duration_s[np.arange(len(movable.job)), movable.pool]
            if moved.total_completion_s < (1 - self._policy.min_gain) * (plan.total_completion_s + own_s.sum()):
                plan, jobs, self._leave = moved, both, _leaving(moved, both)
        stays = (jobs.pool >= 0) & ~np.isin(jobs.job, self._leave)
        order = np.argsort(plan.start_in_s, kind="stable")
        order = order[~stays[order]]
        self._queues = [jobs.job[order[plan.gpu_type[order] == pool]].tolist() for pool in range(pools)]

    def _waiting(self, snapshot: Snapshot) -> _Jobs:
        """The oldest waiting jobs, as many as are to be planned, for which enough GPUs are in service."""
        able = snapshot.num_gpus[:, None] <= snapshot.type_gpus
        duration_s = np.where(able, np.maximum(snapshot.duration_s, _LEAST_S), np.inf)
        oldest = np.lexsort((snapshot.job, snapshot.submit_s))
        rows = oldest[: min(math.ceil(self._policy.alpha * len(oldest)), self._policy.depth)]
        rows = rows[np.isfinite(duration_s[rows]).any(axis=1)]
        return _Jobs(snapshot.job[rows], snapshot.num_gpus[rows], duration_s[rows], np.full(len(rows), -1))

    def _movable(self, snapshot: Snapshot) -> _Jobs:
        """The running jobs that hold whole GPUs, with what they need from now on, after a restart elsewhere."""
        r = snapshot.running
        rows = np.flatnonzero(r.gpu_milli == WHOLE_GPU)
        job, gang, pool = r.job[rows], r.num_gpus[rows], r.pool[rows]
        left_s = np.maximum(r.end_s[rows] - snapshot.now_s, _LEAST_S)
        whole_s = r.duration_s[rows]
        k = np.arange(len(rows))
        duration_s = whole_s * (left_s / whole_s[k, pool])[:, None] + self._restart_s[job][:, None]
        duration_s[k, pool] = left_s
        return _Jobs(job, gang, np.where(gang[:, None] <= snapshot.type_gpus, duration_s, np.inf), pool)


def _leaving(plan: Matching, jobs: _Jobs) -> list[int]:
    """Running jobs that a plan does not run now where they run."""
    stays = np.zeros(len(jobs.job), np.bool_)
    stays[plan.run_now] = True
    stays &= plan.gpu_type == jobs.pool
    return jobs.job[(jobs.pool >= 0) & ~stays].tolist()
