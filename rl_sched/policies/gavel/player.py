"""Plays an allocation policy: shares at resets, a choice of jobs at every look, one decision at a time.

A policy makes *shares*: the fraction of its time that each job shall run on each pool. They are made anew at a *reset*,
when the jobs or the GPUs in service have changed and ``min_reset_s`` have passed since the last one, or when nothing
runs. In a *round* the jobs furthest behind their shares run (``rounds.pick_round``); a job that stays on its pool runs
on without a break. With preemption, rounds begin at the boundaries of the rules, or where these have none every
``round_s`` seconds; in between, and without preemption, whatever is idle is given to waiting jobs by the same order.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from rl_sched.cluster import ClusterSpec
from rl_sched.policies.gavel.active import ActiveJobs
from rl_sched.policies.gavel.ledger import Ledger
from rl_sched.policies.gavel.live import LiveJobs
from rl_sched.policies.gavel.rounds import pick_round
from rl_sched.policies.gavel.solver import AllocationSolver
from rl_sched.sim.loading import run_times
from rl_sched.sim.rules import Rules
from rl_sched.sim.snapshot import Decision, Preempt, Snapshot, Start, Wait
from rl_sched.workload import WHOLE_GPU, Workload


class Claims(NamedTuple):
    """What shares are made from: the jobs of one virtual cluster. k jobs in order of arrival, T pools in service."""

    active: ActiveJobs  # throughputs in jobs/s
    work_left: np.ndarray  # (k,) jobs, at most 1
    elapsed_s: np.ndarray  # (k,) since the submission
    isolated_s: np.ndarray  # (k,) see ``finish_time_fairness``
    pool: np.ndarray  # (k,) where each runs and has to stay, -1 = free to choose
    solver: AllocationSolver  # that of this run and virtual cluster


class AllocationPolicy(Protocol):
    """What a player needs of its policy."""

    min_reset_s: float
    round_s: float
    weighted: bool
    fill: bool

    def share(self, claims: Claims) -> np.ndarray:
        """(k, T) fraction of its time that each job shall run on each pool."""
        ...


class RoundPlayer:
    """Plays one policy on one workload."""

    def __init__(self, policy: AllocationPolicy, workload: Workload, cluster: ClusterSpec, rules: Rules) -> None:
        run_s = run_times(workload, cluster, rules)
        fastest_s = run_s.min(axis=1)
        self._policy = policy
        self._rules_round_s = rules.round_s
        self._window = rules.window is not None
        self._slowness = run_s / fastest_s[:, None]
        self._vc = cluster.pool_vc[run_s.argmin(axis=1)]
        self._pools_of = {int(vc): np.flatnonzero(cluster.pool_vc == vc) for vc in np.unique(cluster.pool_vc)}
        self._solvers = {vc: AllocationSolver() for vc in self._pools_of}
        self._order = np.argsort(-cluster.pool_flops, kind="stable")  # the fastest pools are filled first
        self._weight = workload.priority if policy.weighted else np.ones(len(workload))
        self._ledger = Ledger(len(workload), cluster.num_pools)
        self._known: tuple[np.ndarray, np.ndarray] | None = None  # jobs and GPUs in service at the last reset
        self._looked_s = -np.inf
        self._next_round_s = -np.inf
        self._until_s = np.inf
        self._leave: list[int] = []  # to be preempted, then
        self._enter: list[tuple[int, int]] = []  # (job, pool) to be started

    def decide(self, snapshot: Snapshot) -> Decision:
        if snapshot.now_s != self._looked_s:
            self._look(snapshot)
        decision = self._next(snapshot)
        if decision is None and not snapshot.can_wait:
            self._look(snapshot)
            decision = self._next(snapshot) or _any_start(snapshot)
        return decision or Wait(self._until_s)

    def _next(self, snapshot: Snapshot) -> Decision | None:
        """What is left of the plan of this instant."""
        if self._leave:
            job = self._leave.pop()
            self._ledger.stop(job)
            return Preempt(job)
        while self._enter:
            job, pool = self._enter.pop()
            row = np.flatnonzero(snapshot.job == job)
            if row.size and snapshot.feasible[row[0], pool]:  # not where the placement or the window is in the way
                self._ledger.start(job, pool)
                return Start(job, pool)
        return None

    def _look(self, snapshot: Snapshot) -> None:
        """Makes the plan of this instant."""
        live = LiveJobs.of(snapshot, self._slowness)
        now_s = self._looked_s = snapshot.now_s
        self._ledger.look(live)
        changed = self._known is None or not all(map(np.array_equal, self._known, (live.job, snapshot.type_gpus)))
        due_s = self._ledger.reset_s + self._policy.min_reset_s
        if changed and (now_s >= due_s or snapshot.num_running == 0):
            self._reset(snapshot, live)
            changed = False
        new_round = snapshot.preemptive and (self._rules_round_s is not None or now_s >= self._next_round_s)
        if new_round:
            self._next_round_s = now_s + self._round_s if len(live) else -np.inf
        self._plan(snapshot, live, new_round)
        self._until_s = min(
            self._next_round_s if snapshot.preemptive and len(live) else np.inf, due_s if changed else np.inf
        )

    @property
    def _round_s(self) -> float:
        return self._rules_round_s or self._policy.round_s

    def _plan(self, snapshot: Snapshot, live: LiveJobs, new_round: bool) -> None:
        """Who leaves and who enters; in a new round all jobs compete, else the waiting ones for what is idle."""
        room = snapshot.type_gpus * WHOLE_GPU
        if new_round:
            able = np.isfinite(live.duration_s) & (snapshot.type_gpus > 0)
            if self._window:  # a preempted job may be out of sight at the end of the queue
                able &= (live.pool[:, None] < 0) | (live.pool[:, None] == np.arange(able.shape[1]))
        else:
            able = np.zeros(live.duration_s.shape, np.bool_)
            able[np.searchsorted(live.job, snapshot.job)] = snapshot.feasible
            runs = live.pool >= 0
            room = room - np.bincount(live.pool[runs], live.need[runs], len(room)).astype(np.int64)
        ledger, job = self._ledger, live.job
        received_s = ledger.received_s[job] + self._round_s / 2  # so that none is 0
        chosen = pick_round(
            ledger.share[job], received_s, ledger.deficit_s[job], able, live.need, room, self._order,
            fill=self._policy.fill,
        )  # fmt: skip
        moves = chosen != live.pool
        self._leave = job[moves & (live.pool >= 0)].tolist() if new_round else []
        enters = np.flatnonzero(moves & (chosen >= 0))
        enters = enters[np.argsort(live.need[enters], kind="stable")]  # the widest gang is taken from the end
        self._enter = list(zip(job[enters].tolist(), chosen[enters].tolist(), strict=True))

    def _reset(self, snapshot: Snapshot, live: LiveJobs) -> None:
        """New shares, in each virtual cluster by itself."""
        share = np.zeros((len(live), len(snapshot.type_gpus)))
        home = self._vc[live.job]
        for vc, pools in self._pools_of.items():
            pools = pools[snapshot.type_gpus[pools] > 0]
            gpus = snapshot.type_gpus[pools].astype(np.float64)
            able = np.isfinite(live.duration_s[:, pools]) & (live.gpus[:, None] <= gpus)
            rows = np.flatnonzero((home == vc) & able.any(axis=1))
            if rows.size:
                share[np.ix_(rows, pools)] = self._share(snapshot, live.take(rows), pools, gpus, vc)
        self._ledger.reset(snapshot.now_s, live.job, share)
        self._known = live.job, snapshot.type_gpus

    def _share(
        self, snapshot: Snapshot, live: LiveJobs, pools: np.ndarray, gpus: np.ndarray, vc: int
    ) -> np.ndarray:
        """(k, T) shares of the jobs of one virtual cluster on its pools in service, ``gpus`` (T,) of each."""
        throughput = 1.0 / live.duration_s[:, pools]
        weight = self._weight[live.job]
        active = ActiveJobs.build(throughput, live.gpus, gpus, weight=weight, keys=live.job.tolist())
        self._ledger.settle(live, active.isolated_throughput)
        stays = (live.pool >= 0) & (not snapshot.preemptive)
        claims = Claims(
            active,
            live.left_frac,
            snapshot.now_s - live.submit_s,
            self._ledger.isolated_s[live.job],
            np.where(stays, np.searchsorted(pools, live.pool), -1),
            self._solvers[vc],
        )
        return self._policy.share(claims)


def _any_start(snapshot: Snapshot) -> Start | None:
    """The oldest job that fits, on its fastest pool."""
    rows = np.flatnonzero(snapshot.feasible.any(axis=1))
    if rows.size == 0:
        return None
    row = rows[0]
    run_s = np.where(snapshot.feasible[row], snapshot.duration_s[row], np.inf)
    return Start(int(snapshot.job[row]), int(run_s.argmin()))
