"""When the shares of a virtual cluster are made anew, and from what."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from rl_sched.policies.gavel.active import ActiveJobs
from rl_sched.policies.gavel.ledger import Ledger
from rl_sched.policies.gavel.live import LiveJobs
from rl_sched.policies.gavel.solver import AllocationSolver


class Claims(NamedTuple):
    """What shares are made from. k jobs of one virtual cluster in order of arrival, T of its pools in service."""

    active: ActiveJobs  # throughputs in jobs/s
    work_left: np.ndarray  # (k,) jobs: in (0, 1]
    elapsed_s: np.ndarray  # (k,) since the submission
    isolated_s: np.ndarray  # (k,) that the work so far would have taken on 1/k of every pool: ``finish_time_fairness``
    stays_on: np.ndarray  # (k,) pool on which it runs and has to stay, -1 = free to choose
    solver: AllocationSolver  # of this run and virtual cluster


#: (k, T) fraction of its time that each job shall run on each pool.
MakeShares = Callable[[Claims], np.ndarray]


class Shares:
    """Keeps the shares of the jobs of one virtual cluster, in the ledger.

    Args:
        make: The policy.
        pools: (T,) those of the virtual cluster.
        weight: (N,) of every job of the workload.
        min_reset_s: Shares are made anew at most this often, unless nothing runs.
        ledger: Of the run.
    """

    def __init__(
        self, make: MakeShares, pools: np.ndarray, weight: np.ndarray, min_reset_s: float, ledger: Ledger
    ) -> None:
        self._make = make
        self._pools = pools
        self._weight = weight
        self._min_reset_s = min_reset_s
        self._ledger = ledger
        self._solver = AllocationSolver()
        self._reset_s = -np.inf
        self._members = np.zeros(0, np.int64)  # jobs at the last reset
        self._gpus = np.zeros(len(pools), np.int64)  # in service at the last reset
        self._isolated_s = np.zeros(len(weight))
        self._isolated_rate = np.full(len(weight), np.nan)  # jobs/s at the last reset, nan = it was not there
        self._left_frac = np.ones(len(weight))  # at the last reset

    def refresh(self, now_s: float, live: LiveJobs, gpus: np.ndarray, *, movable: bool) -> float:
        """Makes new shares if jobs or GPUs have changed and it is time.

        Args:
            now_s: The time.
            live: The jobs of this virtual cluster.
            gpus: (P,) in service.
            movable: Running jobs may change their pools.

        Returns:
            When new shares are due although nothing happens; inf = never.
        """
        own = gpus[self._pools]
        if np.array_equal(live.job, self._members) and np.array_equal(own, self._gpus):
            return np.inf
        due_s = self._reset_s + self._min_reset_s
        if now_s < due_s and (live.pool >= 0).any():
            return due_s
        share = np.zeros(live.duration_s.shape)
        pools = self._pools[own > 0]
        width = gpus[pools].astype(np.float64)
        # A job for which too few GPUs are in service has no claim until they come back.
        fits = (np.isfinite(live.duration_s[:, pools]) & (live.gpus[:, None] <= width)).any(axis=1)
        rows = np.flatnonzero(fits)
        if rows.size:
            claims = self._claims(now_s, live.take(rows), pools, width, movable)
            share[np.ix_(rows, pools)] = self._make(claims)
        elapsed_s = now_s - self._reset_s if len(self._members) else 0.0
        self._ledger.renew(self._members, live.job, share, elapsed_s)
        self._reset_s, self._members, self._gpus = now_s, live.job, own
        return np.inf

    def _claims(self, now_s: float, live: LiveJobs, pools: np.ndarray, width: np.ndarray, movable: bool) -> Claims:
        job = live.job
        active = ActiveJobs.build(
            1.0 / live.duration_s[:, pools], live.gpus, width, weight=self._weight[job], keys=job.tolist()
        )
        rate = np.where(np.isnan(self._isolated_rate[job]), active.isolated_throughput, self._isolated_rate[job])
        self._isolated_s[job] += np.maximum(self._left_frac[job] - live.left_frac, 0.0) / rate
        self._isolated_rate[job], self._left_frac[job] = active.isolated_throughput, live.left_frac
        stays = (live.pool >= 0) & (not movable)
        return Claims(
            active=active,
            work_left=live.left_frac,
            elapsed_s=now_s - live.submit_s,
            isolated_s=self._isolated_s[job],
            stays_on=np.where(stays, np.searchsorted(pools, live.pool), -1),
            solver=self._solver,
        )
