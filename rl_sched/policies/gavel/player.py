"""Plays an allocation policy: shares of time, a choice of jobs at every look, one decision at a time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rl_sched.cluster import ClusterSpec
from rl_sched.errors import WorkloadError
from rl_sched.policies.fifo import FifoBackfill
from rl_sched.policies.gavel.ledger import Ledger
from rl_sched.policies.gavel.live import LiveJobs
from rl_sched.policies.gavel.rounds import pick_round
from rl_sched.policies.gavel.shares import MakeShares, Shares
from rl_sched.sim.loading import run_times
from rl_sched.sim.rules import Rules
from rl_sched.sim.snapshot import Decision, Preempt, Snapshot, Start, Wait
from rl_sched.workload import WHOLE_GPU, Workload


class Manner(NamedTuple):
    """How shares are played; see ``policies.SharedInRounds``."""

    min_reset_s: float
    round_s: float
    fill: bool  # jobs without a share of a pool may take what is left there
    backfill: bool  # even those that have come since the shares were made
    weighted: bool  # priorities are weights


class RoundPlayer:
    """Plays one policy on one workload. A plan is made once an instant, then carried out decision by decision.

    Raises:
        WorkloadError: Priorities shall be weights, and one is not above 0.
    """

    def __init__(
        self, make: MakeShares, manner: Manner, workload: Workload, cluster: ClusterSpec, rules: Rules
    ) -> None:
        run_s = run_times(workload, cluster, rules)
        n = len(workload)
        self._manner = manner
        self._rules = rules
        self._round_s = rules.round_s or manner.round_s
        self._slowness = run_s / run_s.min(axis=1, keepdims=True)
        self._order = np.argsort(-cluster.pool_flops, kind="stable")
        self._ledger = Ledger(n, cluster.num_pools)
        weight = _weights(workload) if manner.weighted else np.ones(n)
        vcs = np.unique(cluster.pool_vc)
        self._home = np.searchsorted(vcs, cluster.pool_vc[run_s.argmin(axis=1)])  # (n,) row of ``shares``
        self._shares = [
            Shares(make, np.flatnonzero(cluster.pool_vc == vc), weight, manner.min_reset_s, self._ledger) for vc in vcs
        ]
        self._looked_s = -np.inf
        self._next_round_s = -np.inf
        self._until_s = np.inf
        self._leave: list[int] = []  # jobs to be preempted, and then
        self._enter: list[tuple[int, int]] = []  # (job, pool) to be started

    def decide(self, snapshot: Snapshot) -> Decision:
        if snapshot.now_s != self._looked_s:
            self._look(snapshot)
        decision = self._next(snapshot)
        if decision is None and not snapshot.can_wait:
            decision = FifoBackfill().decide(snapshot)
        # Where nothing runs and nothing fits, only an event can help: a later look would change nothing.
        hopeless = snapshot.num_running == 0 and not snapshot.feasible.any()
        return decision or Wait(np.inf if hopeless else self._until_s)

    def _next(self, snapshot: Snapshot) -> Decision | None:
        """What is left of the plan."""
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
        """Makes the plan."""
        live = LiveJobs.of(snapshot, self._slowness)
        now_s = self._looked_s = snapshot.now_s
        self._ledger.look(live)
        home = self._home[live.job]
        due_s = [
            shares.refresh(now_s, live.take(home == vc), snapshot.type_gpus, movable=snapshot.preemptive)
            for vc, shares in enumerate(self._shares)
        ]
        new_round = snapshot.preemptive and (self._rules.round_s is not None or now_s >= self._next_round_s)
        if new_round:
            self._next_round_s = now_s + self._round_s if len(live) else -np.inf
        self._until_s = min(due_s)
        if snapshot.preemptive and len(live):
            self._until_s = min(self._until_s, self._next_round_s)
        self._plan(snapshot, live, new_round)

    def _plan(self, snapshot: Snapshot, live: LiveJobs, new_round: bool) -> None:
        """Who leaves and who enters: in a new round all jobs compete, else the waiting ones for what is idle."""
        ledger, job, runs = self._ledger, live.job, live.pool >= 0
        room = snapshot.type_gpus * WHOLE_GPU
        if new_round:
            able = np.isfinite(live.duration_s) & (room > 0)
            if not runs.any():  # nobody leaves: what does not fit now, on the nodes in service, does not fit
                able[np.searchsorted(job, snapshot.job)] &= snapshot.feasible
            if self._rules.window:  # a preempted job may be out of sight at the end of the queue
                able &= ~runs[:, None] | (live.pool[:, None] == np.arange(len(room)))
        else:
            able = np.zeros(live.duration_s.shape, np.bool_)
            able[np.searchsorted(job, snapshot.job)] = snapshot.feasible
            room = room - np.bincount(live.pool[runs], live.need[runs], len(room)).astype(np.int64)
        if not self._manner.backfill:
            able &= ledger.has_share[job, None]
        received_s = ledger.received_s[job] + self._round_s / 2  # so that none is 0
        chosen = pick_round(
            ledger.share[job], received_s, ledger.deficit_s[job], able, live.need, room, self._order,
            fill=self._manner.fill,
        )  # fmt: skip
        moves = chosen != live.pool
        self._leave = job[moves & runs].tolist() if new_round else []
        enters = np.flatnonzero(moves & (chosen >= 0))
        enters = enters[np.argsort(live.need[enters], kind="stable")]  # taken from the end: the widest first
        self._enter = list(zip(job[enters].tolist(), chosen[enters].tolist(), strict=True))


def _weights(workload: Workload) -> np.ndarray:
    """(n,) the priorities."""
    bad = np.flatnonzero(workload.priority <= 0)
    if bad.size:
        raise WorkloadError(
            f"weighted=true needs a priority above 0 for every job; row {bad[0]} has {workload.priority[bad[0]]:g}. "
            f"Mend the workload, or leave weighted at false."
        )
    return workload.priority
