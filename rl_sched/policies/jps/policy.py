"""``jps`` as a scheduling policy: jobs that arrive over time and have gangs of a given size.

What is left of a category when gangs are given is who comes first and on which pool. Promise orders the waiting jobs by
area, the smallest first; samples are orders from that one on, drawn ever more freely; each is judged by the plan that
it makes (``plan_kernels``), and the best is searched further by moving single jobs. The jobs that its plan starts now
start; the plan is made anew when something happens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from rl_sched.cluster import ClusterSpec
from rl_sched.errors import ConfigError
from rl_sched.policies.fifo import FifoBackfill
from rl_sched.policies.jps import plan_kernels
from rl_sched.sim.loading import restart_costs
from rl_sched.sim.rules import Rules
from rl_sched.sim.snapshot import Decision, Preempt, Snapshot, Start, Wait
from rl_sched.workload import WHOLE_GPU, Workload

#: Least run time of a job, and least time until a busy GPU is free: an overdue one is not idle.
_LEAST_S = 1e-3
_IDLE = -1  # in ``Snapshot.running_job``
#: Logarithmic spread of the freest sample.
SPREAD = 1.0
#: Single jobs that are moved in the best order, for each sample.
MOVES = 4


@dataclass(frozen=True)
class Jps:
    """Samples orders of the waiting jobs, plans each, and starts what the best plan starts now.

    With preemption a second plan places the running jobs anew as well (but for those that share a GPU), their restart
    included; it is carried out if it makes the sum of all completion times smaller by ``min_gain`` at least.

    Attributes:
        alpha: Where in the order of promise sampling starts: 0 = at the order by area itself, near 1 = anywhere.
        beta: Weight of the mean JCT against fairness, Jain's index of JCT over the JCT of an equal share.
        samples: N: orders drawn at a decision; four times as many moves follow.
        depth: At most so many waiting jobs are planned, those of the smallest area; and so many running ones moved.
        min_gain: What moving running jobs must be worth; 1 = none is ever preempted.
        seed: Of the draws, together with the number of the decision.

    Raises:
        ConfigError: A parameter is out of its range.
    """

    alpha: float = 0.0
    beta: float = 1.0
    samples: int = 40
    depth: int = 32
    min_gain: float = 0.1
    seed: int = 0

    preemptive: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.alpha < 1 or not 0 <= self.beta <= 1 or not 0 <= self.min_gain <= 1:
            raise ConfigError(
                "alpha must be in [0, 1), beta and min_gain in [0, 1]; they are "
                f"{self.alpha}, {self.beta} and {self.min_gain}."
            )
        if self.samples < 1 or self.depth < 1 or self.seed < 0:
            raise ConfigError(
                f"samples and depth must be at least 1 and seed at least 0; they are {self.samples}, {self.depth} and "
                f"{self.seed}."
            )

    def player(self, workload: Workload, cluster: ClusterSpec, rules: Rules) -> JpsPlayer:
        """What decides during one run."""
        return JpsPlayer(self, restart_costs(workload.num_gpus, rules))


class _Jobs(NamedTuple):
    """Jobs to be planned. k jobs, P pools."""

    job: np.ndarray  # (k,) row in the workload
    num_gpus: np.ndarray  # (k,) int64
    run_s: np.ndarray  # (k, P) from now on, inf = impossible
    home: np.ndarray  # (k,) int64 pool where it runs, -1 = it waits
    stay_s: np.ndarray  # (k,) run time if it goes on where it is
    age_s: np.ndarray  # (k,) time since submission


class _Plan(NamedTuple):
    """The best plan found."""

    total_s: float  #: its sum of JCTs
    order: np.ndarray  # (k,) rows of the jobs
    pool: np.ndarray  # (k,) of each job
    now: np.ndarray  # (k,) bool: it runs from now on


class JpsPlayer:
    """Plays ``Jps`` on one workload.

    Args:
        policy: The parameters.
        restart_s: (n,) what each job pays after a preemption.
    """

    def __init__(self, policy: Jps, restart_s: np.ndarray) -> None:
        self._policy = policy
        self._restart_s = restart_s
        self._looked_s = -np.inf
        self._leave: list[int] = []  # jobs to be preempted, and then
        self._starts: list[tuple[int, int]] = []  # (job, pool) to be started, in this order

    def decide(self, snapshot: Snapshot) -> Decision:
        if snapshot.now_s != self._looked_s:
            self._look(snapshot)
        if self._leave:
            return Preempt(self._leave.pop())
        while self._starts:
            job, pool = self._starts.pop(0)
            row = np.flatnonzero(snapshot.job == job)
            if row.size and snapshot.feasible[row[0], pool]:
                return Start(job, pool)
        return Wait() if snapshot.can_wait else FifoBackfill().decide(snapshot)

    def _look(self, snapshot: Snapshot) -> None:
        """Makes the plan of this instant."""
        self._looked_s = snapshot.now_s
        self._leave, self._starts = [], []
        waiting = self._waiting(snapshot)
        preemption = snapshot.preemptive and self._policy.min_gain < 1
        if not len(waiting.job) or not (preemption or snapshot.feasible.any()):
            return
        serves = np.isfinite(snapshot.remaining_s)
        until_s = np.where(snapshot.running_job == _IDLE, 0.0, np.maximum(snapshot.remaining_s, _LEAST_S))
        until_s[~serves] = np.inf
        jobs, plan = waiting, self._plan(snapshot, waiting, until_s)
        if preemption:
            movable = self._movable(snapshot)
            both = _Jobs(*(np.concatenate(columns) for columns in zip(waiting, movable, strict=True)))
            held = np.isin(snapshot.running_job, movable.job)
            moved = self._plan(snapshot, both, np.where(held, 0.0, until_s))
            kept_s = float((movable.stay_s + movable.age_s).sum())
            if moved.total_s < (1 - self._policy.min_gain) * (plan.total_s + kept_s):
                jobs, plan = both, moved
        stays = (jobs.home >= 0) & plan.now & (plan.pool == jobs.home)
        self._leave = jobs.job[(jobs.home >= 0) & ~stays].tolist()
        starts = plan.order[(plan.now & ~stays)[plan.order]]
        self._starts = list(zip(jobs.job[starts].tolist(), plan.pool[starts].tolist(), strict=True))

    def _plan(self, snapshot: Snapshot, jobs: _Jobs, until_s: np.ndarray) -> _Plan:
        """The best plan of some jobs when each GPU is free from ``until_s`` (G,) on, inf = out of order."""
        k, pools = jobs.run_s.shape
        demand = int(jobs.num_gpus.sum())  # further GPUs would not be touched
        free = [np.sort(until_s[(snapshot.gpu_type == p) & np.isfinite(until_s)])[:demand] for p in range(pools)]
        gpus = np.array([len(times) for times in free], np.int64)
        free_s = np.zeros((pools, max(int(gpus.max()), 1)))
        for p, times in enumerate(free):
            free_s[p, : len(times)] = times
        fastest_s = jobs.run_s.min(axis=1)
        equal_s = jobs.age_s + fastest_s * max(1.0, demand / max(int(gpus.sum()), 1))
        jps = self._policy
        rng = np.random.default_rng((jps.seed, snapshot.decision))
        spread = jps.alpha + (1 - jps.alpha) * np.arange(jps.samples) / jps.samples
        factor = np.exp(SPREAD * spread[:, None] * rng.standard_normal((jps.samples, k)))
        order, pool, start_s = np.zeros(k, np.int64), np.zeros(k, np.int64), np.zeros(k)
        plan_kernels.best_plan(
            factor, rng.random((MOVES * jps.samples if k > 1 else 0, 2)), fastest_s * jobs.num_gpus, jobs.num_gpus,
            jobs.run_s, jobs.home, jobs.stay_s, jobs.age_s, equal_s, free_s, gpus, jps.beta, np.zeros_like(free_s),
            np.zeros(k), np.zeros(k, np.int64), order, pool, start_s,
        )  # fmt: skip
        now = start_s <= 0
        length_s = np.where(now & (pool == jobs.home), jobs.stay_s, jobs.run_s[np.arange(k), pool])
        total_s = float((jobs.age_s + start_s + length_s)[pool >= 0].sum())
        return _Plan(total_s, order, pool, now)

    def _waiting(self, snapshot: Snapshot) -> _Jobs:
        """The waiting jobs of the smallest area, for which enough GPUs are in service."""
        able = snapshot.num_gpus[:, None] <= snapshot.type_gpus
        run_s = np.where(able, np.maximum(snapshot.duration_s, _LEAST_S), np.inf)
        area = run_s.min(axis=1, initial=np.inf) * snapshot.num_gpus
        rows = np.lexsort((snapshot.job, area))[: self._policy.depth]
        rows = rows[np.isfinite(area[rows])]
        k = len(rows)
        age_s = snapshot.now_s - snapshot.submit_s[rows]
        return _Jobs(snapshot.job[rows], snapshot.num_gpus[rows], run_s[rows], np.full(k, -1), np.zeros(k), age_s)

    def _movable(self, snapshot: Snapshot) -> _Jobs:
        """The running jobs on whole GPUs that have most left to do, with what they need from now on."""
        r = snapshot.running
        whole = np.flatnonzero(r.gpu_milli == WHOLE_GPU)
        left_s = np.maximum(r.end_s - snapshot.now_s, _LEAST_S)
        rows = whole[np.lexsort((r.job[whole], -left_s[whole] * r.num_gpus[whole]))][: self._policy.depth]
        job, gang, pool, stay_s = r.job[rows], r.num_gpus[rows], r.pool[rows], left_s[rows]
        k = np.arange(len(rows))
        run_s = r.duration_s[rows] * (stay_s / r.duration_s[rows][k, pool])[:, None] + self._restart_s[job][:, None]
        run_s = np.where(gang[:, None] <= snapshot.type_gpus, run_s, np.inf)
        return _Jobs(job, gang, run_s, pool.astype(np.int64), stay_s, snapshot.now_s - r.submit_s[rows])
