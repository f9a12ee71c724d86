"""Fairness of a run, between users and between jobs. n jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rl_sched.workload import WHOLE_GPU

if TYPE_CHECKING:  # columns are read; the simulator is not needed
    from rl_sched.sim.result import RunResult


def jain_index(shares: np.ndarray) -> float:
    """Jain's fairness index ``(sum x)^2 / (k sum x^2)`` of k shares: 1 = all equal, 1/k = one has all."""
    x = np.asarray(shares, dtype=np.float64)
    if x.size == 0 or not np.isfinite(x).all() or not (x > 0).any():
        return float("nan")
    return float(x.sum() ** 2 / (x.size * (x**2).sum()))


def jain_user_frac(result: RunResult) -> float:
    """Jain's index over users of the fraction of their jobs' time in the system that the jobs were running.

    1 for a workload with one user; nan if a job did not finish.
    """
    _, user = np.unique(result.user, return_inverse=True)
    done = np.where(np.isfinite(result.finish_s), result.ran_s, np.nan)
    running = np.bincount(user, weights=done)
    present = np.bincount(user, weights=result.jct_s)
    with np.errstate(invalid="ignore", divide="ignore"):
        return jain_index(running / present)


def finish_time_fairness(result: RunResult) -> np.ndarray:
    """(n,) rho of every job: its completion time over what it would be alone on an equal share of the cluster.

    The measure of Themis (Mahajan et al., NSDI 2020, section 3.1) and of Gavel (section 4.2); above 1 the job did
    worse than with its share. The share is 1/N of the GPUs (of the job's virtual cluster, if there are some), N being
    the number of jobs in the system, itself included, averaged over the time that the job spent there. Alone there,
    it takes its run time on the fastest pool, stretched by demand over share where its gang is larger than the share.

    Returns:
        Values > 0, all nan if a job did not finish: N is not known then.
    """
    rho = np.full(len(result.submit_s), np.nan)
    if result.num_unfinished:
        return rho
    cluster = result.cluster
    home = cluster.pool_vc[result.gpu_type]
    for vc in np.unique(home):
        own = home == vc
        gpus = int(cluster.pool_gpus[cluster.pool_vc == vc].sum())
        demand = result.num_gpus[own] * (result.gpu_milli[own] / WHOLE_GPU)
        present = _mean_present(result.submit_s[own], result.finish_s[own])
        rho[own] = result.jct_s[own] / (result.duration_s[own] * np.maximum(present * demand / gpus, 1.0))
    return rho


def _mean_present(arrive_s: np.ndarray, leave_s: np.ndarray) -> np.ndarray:
    """(k,) number of jobs in the system, averaged over the stay of each of k jobs."""
    origin = arrive_s.min()
    arrivals, departures = np.sort(arrive_s - origin), np.sort(leave_s - origin)

    def area(t: np.ndarray) -> np.ndarray:
        """Integral of the number of jobs in the system from the first arrival to t."""
        total = np.zeros(len(t))
        for times, sign in ((arrivals, 1.0), (departures, -1.0)):
            before = np.searchsorted(times, t, side="right")
            total += sign * (before * t - np.concatenate([[0.0], np.cumsum(times)])[before])
        return total

    return (area(leave_s - origin) - area(arrive_s - origin)) / (leave_s - arrive_s)
