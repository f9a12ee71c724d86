"""Metrics of one run: pure functions of a ``RunResult``. n jobs.

A job that did not finish is counted, never dropped: a run that leaves jobs unfinished has no mean, median or
percentile of completion times to compare, so these are ``nan`` and ``num_unfinished`` tells how many are missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rl_sched.evaluation.energy import electricity_cost_usd, gpu_cost_usd, pool_energy_kwh
from rl_sched.evaluation.fairness import finish_time_fairness, jain_index, jain_user_frac

if TYPE_CHECKING:  # metrics read columns; they do not need the simulator
    from rl_sched.evaluation.timeline import Segments
    from rl_sched.policies.bounds.lower import LowerBounds
    from rl_sched.sim.result import RunResult
    from rl_sched.sim.rules import Rules

__all__ = ["bounded_slowdown", "jain_index", "jain_user_frac", "jct_cdf", "run_metrics", "utilisation_frac"]

#: Run times below this count as this in the bounded slowdown, so that a job of one second cannot dominate it.
SLOWDOWN_TAU_S = 10.0
#: Completion times are given per priority where a workload has several priorities, up to this many.
MAX_PRIORITIES = 10

#: A run this close to its bound has met it.
_GAP_ROUNDING = 1e-9

#: Grid of the empirical distribution of completion times: 40 points a decade from 1 s to about 36 days.
CDF_GRID_S = np.logspace(0.0, 6.5, 261)


def bounded_slowdown(result: RunResult, tau_s: float = SLOWDOWN_TAU_S) -> np.ndarray:
    """(n,) ``max(jct / max(run, tau), 1)`` of every job (Feitelson and Rudolph, 1998); nan if unfinished.

    ``run`` is the time on GPUs, of all segments of an interrupted job together.
    """
    return np.maximum(result.jct_s / np.maximum(result.ran_s, tau_s), 1.0)


def utilisation_frac(result: RunResult) -> float:
    """Busy GPU-seconds over the cluster's, from the first submission to the last event; nan if no time passed."""
    capacity = result.cluster.num_gpus * result.makespan_s
    return float(result.busy_gpu_s / capacity) if capacity > 0 else float("nan")


def flops_utilisation_frac(result: RunResult) -> float:
    """The same with every GPU weighted by its peak FLOPS."""
    flops = result.cluster.pool_flops
    capacity = float(result.cluster.pool_gpus @ flops) * result.makespan_s
    return float(result.pool_busy_gpu_s @ flops) / capacity if capacity > 0 else float("nan")


def noop_share_frac(result: RunResult) -> float:
    """Decisions that neither started nor preempted a job over all decisions.

    nan if there were none, or if the run was cut while jobs that had been interrupted were in the system: the columns
    do not tell how often these were started.
    """
    again = result.preemptions + result.kills
    unclear = np.isnan(result.finish_s) & (again > 0)
    if not result.decisions or unclear.any():
        return float("nan")
    starts = int(np.isfinite(result.start_s).sum() + again.sum())
    return 1.0 - (starts + int(result.preemptions.sum())) / result.decisions


def deadline_misses(result: RunResult) -> np.ndarray:
    """(n,) bool: jobs that had not finished at their deadlines; a deadline after the end of the run is not missed."""
    end_s = result.submit_s[0] + result.makespan_s
    return np.where(np.isnan(result.finish_s), end_s, result.finish_s) > result.deadline_s


def gap_metrics(metrics: dict[str, float], bounds: LowerBounds, num_jobs: int) -> dict[str, float]:
    """How far a run is above what no schedule can beat: ``value / bound - 1``; nan as the values are."""

    def above(value: float, bound: float) -> float:
        gap = value / bound - 1.0
        return 0.0 if abs(gap) < _GAP_ROUNDING else gap

    mean_s = bounds.total_jct_s / num_jobs
    return {
        "mean_jct_bound_s": mean_s,
        "mean_jct_gap_frac": above(metrics["mean_jct_s"], mean_s),
        "makespan_gap_frac": above(metrics["makespan_s"], bounds.makespan_s),
    }


def run_metrics(
    result: RunResult,
    rules: Rules | None = None,
    parts: Segments | None = None,
    bounds: LowerBounds | None = None,
) -> dict[str, float]:
    """All metrics of a run by name, with the unit in the name.

    Args:
        result: Of the run.
        rules: Its rules; they hold the electricity tariff.
        parts: Its segments; without them the cost of interrupted jobs under an hourly tariff is nan.
        bounds: Of its workload on its cluster.

    Returns:
        ``mean_jct_s, median_jct_s, p95_jct_s, p99_jct_s, mean_wait_s`` (all time in the queue),
        ``mean_bounded_slowdown, makespan_s, utilisation_frac, flops_utilisation_frac, jain_user_frac,
        max_finish_time_fairness, p95_finish_time_fairness, num_unfinished, num_preemptions, num_kills, energy_kwh,
        gpu_cost_usd, noop_share_frac``; with deadlines ``num_deadline_misses, deadline_miss_frac``; with several
        priorities ``mean_jct_priority_P_s`` for each; with a tariff ``electricity_cost_usd``; with bounds
        ``mean_jct_bound_s, mean_jct_gap_frac, makespan_gap_frac``. Times of jobs, the
        makespan and measures of fairness are nan if a job did not finish, since means and percentiles of a censored
        sample are biased.
    """
    whole = result.num_unfinished == 0
    nan = float("nan")
    jct = result.jct_s
    median, p95, p99 = np.percentile(jct, [50, 95, 99]) if whole else (nan,) * 3
    rho = finish_time_fairness(result)
    metrics = {
        "mean_jct_s": float(jct.mean()),
        "median_jct_s": float(median),
        "p95_jct_s": float(p95),
        "p99_jct_s": float(p99),
        "mean_wait_s": float(result.waited_s.mean()) if whole else nan,
        "mean_bounded_slowdown": float(bounded_slowdown(result).mean()),
        "makespan_s": float(result.makespan_s) if whole else nan,
        "utilisation_frac": utilisation_frac(result),
        "flops_utilisation_frac": flops_utilisation_frac(result),
        "jain_user_frac": jain_user_frac(result),
        "max_finish_time_fairness": float(rho.max()),
        "p95_finish_time_fairness": float(np.percentile(rho, 95)) if whole else nan,
        "num_unfinished": float(result.num_unfinished),
        "num_preemptions": float(result.preemptions.sum()),
        "num_kills": float(result.kills.sum()),
        "energy_kwh": float(pool_energy_kwh(result).sum()),
        "gpu_cost_usd": gpu_cost_usd(result),
        "noop_share_frac": noop_share_frac(result),
    }
    timed = np.isfinite(result.deadline_s)
    if timed.any():
        missed = deadline_misses(result)
        metrics["num_deadline_misses"] = float(missed.sum())
        metrics["deadline_miss_frac"] = float(missed.sum() / timed.sum())
    priorities = np.unique(result.priority)
    if 1 < len(priorities) <= MAX_PRIORITIES:
        for priority in priorities:
            metrics[f"mean_jct_priority_{priority:g}_s"] = float(jct[result.priority == priority].mean())
    if rules is not None and rules.tariff:
        metrics["electricity_cost_usd"] = electricity_cost_usd(result, rules.tariff, parts)
    if bounds is not None:
        metrics |= gap_metrics(metrics, bounds, len(jct))
    return metrics


def jct_cdf(result: RunResult, grid_s: np.ndarray = CDF_GRID_S) -> np.ndarray:
    """(len(grid),) fraction of ALL jobs that finished within ``grid_s`` seconds of their submission."""
    jct = result.jct_s
    done = np.sort(jct[np.isfinite(jct)])
    return np.searchsorted(done, grid_s, side="right") / len(jct)
