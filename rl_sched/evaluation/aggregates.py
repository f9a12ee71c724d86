"""Aggregates over runs and tasks after Agarwal et al., "Deep reinforcement learning at the edge of the statistical
precipice" (NeurIPS 2021): performance profiles, optimality gap, probability of improvement with its interval.

A run is a training seed, the replicate; bootstraps draw runs, never tasks. Scores are better when lower, as costs are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rl_sched.evaluation import statistics as st


class Profile(NamedTuple):
    """Share of runs and tasks within each factor; the band is nan with fewer than two runs. k thresholds."""

    share: np.ndarray  # (k,)
    low: np.ndarray  # (k,)
    high: np.ndarray  # (k,)
    n: int  #: runs


def performance_profile(
    scores: np.ndarray, thresholds: np.ndarray, *, resamples: int = st.RESAMPLES, seed: int = 0
) -> Profile:
    """Share of all scores that are at most each threshold, with a pointwise 95 % band over runs.

    Args:
        scores: (runs, tasks); nan counts as above every threshold.
        thresholds: (k,) ascending.
        resamples: Of whole runs, all tasks of a run together.
        seed: Of the resampling.
    """
    within = (scores[:, :, None] <= thresholds).mean(axis=1)  # (runs, k)
    share, n = within.mean(axis=0), len(scores)
    if n < 2:
        return Profile(share, np.full_like(share, np.nan), np.full_like(share, np.nan), n)
    rng, tail = np.random.default_rng(seed), st.expanded_tail(n, st.CONFIDENCE)
    draws = np.stack([within[rng.integers(0, n, n)].mean(axis=0) for _ in range(resamples)])
    low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
    return Profile(share, low, high, n)


def optimality_gap(scores: np.ndarray, target: float = 0.0) -> float:
    """Mean amount by which scores miss a target: ``mean(max(score - target, 0))``; what is below it does not help.

    The paper's ``gamma - mean(min(score, gamma))`` with the sign turned.
    """
    return float(np.maximum(np.asarray(scores, dtype=np.float64) - target, 0.0).mean())


def improvement(
    ours: Sequence[float] | np.ndarray,
    other: Sequence[float] | np.ndarray,
    *,
    resamples: int = st.RESAMPLES,
    seed: int = 0,
) -> st.Estimate:
    """P(a run of ours is better, that is lower, than a run of the other) with a bootstrap interval.

    The runs of both are drawn independently, as the paper does; a rule has one run, which stays. No interval with fewer
    than two runs of ours, or where all resamples are equal: with 3 seeds that all win, nothing but 1 can be drawn.
    """
    a, b = np.asarray(ours, dtype=np.float64), np.asarray(other, dtype=np.float64)
    value = st.probability_of_improvement(a, b)
    if len(a) < 2:
        return st.Estimate(value, np.nan, np.nan, len(a), "a single run, no interval")
    rng = np.random.default_rng(seed)
    rows, columns = rng.integers(0, len(a), (resamples, len(a))), rng.integers(0, len(b), (resamples, len(b)))
    x, y = a[rows][:, :, None], b[columns][:, None, :]
    draws = ((x < y) + 0.5 * (x == y)).mean(axis=(1, 2))
    tail = st.expanded_tail(len(a), st.CONFIDENCE)
    low, high = np.quantile(draws, [tail, 1 - tail])
    method = f"{100 * st.CONFIDENCE:g} % bootstrap interval ({resamples:,} resamples of the runs)"
    return st.Estimate(value, float(low), float(high), len(a), method)
