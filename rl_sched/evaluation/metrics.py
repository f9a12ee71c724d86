"""Metrics of one run: pure functions of a ``RunResult``. n jobs.

A job that did not finish is counted, never dropped: a run that leaves jobs unfinished has no mean, median or
percentile of completion times to compare, so these are ``nan`` and ``num_unfinished`` tells how many are missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # metrics read columns; they do not need the simulator
    from rl_sched.sim.result import RunResult

#: Run times below this count as this in the bounded slowdown, so that a job of one second cannot dominate it.
SLOWDOWN_TAU_S = 10.0

#: Grid of the empirical distribution of completion times: 40 points a decade from 1 s to about 36 days.
CDF_GRID_S = np.logspace(0.0, 6.5, 261)


def bounded_slowdown(result: RunResult, tau_s: float = SLOWDOWN_TAU_S) -> np.ndarray:
    """(n,) ``max(jct / max(run, tau), 1)`` of every job (Feitelson and Rudolph, 1998); nan if unfinished."""
    return np.maximum(result.jct_s / np.maximum(result.finish_s - result.start_s, tau_s), 1.0)


def utilisation_frac(result: RunResult) -> float:
    """Busy GPU-seconds over the cluster's, from the first submission to the last event; nan if no time passed."""
    capacity = result.cluster.num_gpus * result.makespan_s
    return float(result.busy_gpu_s / capacity) if capacity > 0 else float("nan")


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
    running = np.bincount(user, weights=result.finish_s - result.start_s)
    present = np.bincount(user, weights=result.jct_s)
    with np.errstate(invalid="ignore", divide="ignore"):
        return jain_index(running / present)


def run_metrics(result: RunResult) -> dict[str, float]:
    """All metrics of a run by name, with the unit in the name.

    Returns:
        ``mean_jct_s, median_jct_s, p95_jct_s, p99_jct_s, mean_wait_s, mean_bounded_slowdown, makespan_s,
        utilisation_frac, jain_user_frac, num_unfinished, noop_share_frac`` (decisions that started no job). All
        but the utilisation, the no-op share and ``num_unfinished`` are nan if a job did not finish, since means
        and percentiles of a censored sample are biased.
    """
    whole = result.num_unfinished == 0
    jct = result.jct_s
    median, p95, p99 = np.percentile(jct, [50, 95, 99]) if whole else (np.nan,) * 3
    started = int(np.isfinite(result.start_s).sum())
    return {
        "mean_jct_s": float(jct.mean()),
        "median_jct_s": float(median),
        "p95_jct_s": float(p95),
        "p99_jct_s": float(p99),
        "mean_wait_s": float(result.wait_s.mean()) if whole else float("nan"),
        "mean_bounded_slowdown": float(bounded_slowdown(result).mean()),
        "makespan_s": float(result.makespan_s) if whole else float("nan"),
        "utilisation_frac": utilisation_frac(result),
        "jain_user_frac": jain_user_frac(result),
        "num_unfinished": float(result.num_unfinished),
        "noop_share_frac": 1.0 - started / result.decisions if result.decisions else float("nan"),
    }


def jct_cdf(result: RunResult, grid_s: np.ndarray = CDF_GRID_S) -> np.ndarray:
    """(len(grid),) fraction of ALL jobs that finished within ``grid_s`` seconds of their submission."""
    jct = result.jct_s
    done = np.sort(jct[np.isfinite(jct)])
    return np.searchsorted(done, grid_s, side="right") / len(jct)
