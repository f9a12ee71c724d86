"""Statistics over training seeds (or over workloads): estimates with intervals, paired tests, verdicts.

The training seed is the replicate. From 5 replicates on, the estimate is the interquartile mean with a bootstrap
interval; below that a bootstrap has too few distinct resamples to mean anything, and the estimate is the mean
with Student's t interval. Pure NumPy and SciPy distributions; randomness comes from the ``seed`` argument alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 2_000
RESAMPLES_FINAL = 50_000
MIN_SEEDS_FOR_BOOTSTRAP = 5
#: Up to this many pairs every sign pattern is enumerated (2^14 = 16,384); above, patterns are drawn.
EXACT_FLIPS = 14
DRAWN_FLIPS = 20_000
#: Resamples are drawn in portions of at most this many values (32 MB).
VALUES_AT_ONCE = 4_000_000
#: More replicates than this are not worth naming as a plan.
MOST_REPLICATES = 10_000
ONE_SEED = "inconclusive (one training seed; run at least 3)"


class Estimate(NamedTuple):
    """A value with its interval. ``low`` and ``high`` are nan where no interval can be given."""

    value: float
    low: float
    high: float
    n: int  #: replicates
    method: str  #: what the value and the interval are, for captions

    @property
    def holds_zero(self) -> bool:
        """True if the interval does not exclude zero (also when there is no interval)."""
        return not (self.low > 0 or self.high < 0)


def iqm(values: np.ndarray, axis: int = -1) -> np.ndarray | float:
    """Interquartile mean: the mean after a quarter of the values (rounded down) is cut at each end.

    The same as ``scipy.stats.trim_mean(values, 0.25)``; up to 3 values it is the plain mean.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64), axis=axis)
    n = ordered.shape[axis]
    cut = int(0.25 * n)
    middle = np.take(ordered, np.arange(cut, n - cut), axis=axis).mean(axis=axis)
    return float(middle) if middle.ndim == 0 else middle


def _mean(values: np.ndarray, axis: int = -1) -> np.ndarray:
    return np.asarray(values, dtype=np.float64).mean(axis=axis)


def _replicates(values: Sequence[float] | np.ndarray) -> np.ndarray:
    x = np.asarray(values, dtype=np.float64)
    if x.ndim != 1 or x.size == 0:
        raise ValueError(f"Statistics need a flat, non-empty list of replicates; got shape {x.shape}.")
    return x


def t_interval(values: Sequence[float] | np.ndarray, confidence: float = CONFIDENCE) -> Estimate:
    """Mean with Student's t interval; no interval (nan) for a single value."""
    x = _replicates(values)
    if x.size == 1:
        return Estimate(float(x[0]), np.nan, np.nan, 1, "a single value, no interval")
    half = stats.t.ppf(0.5 + confidence / 2, x.size - 1) * x.std(ddof=1) / np.sqrt(x.size)
    method = f"mean, {100 * confidence:g} % Student's t interval"
    return Estimate(float(x.mean()), float(x.mean() - half), float(x.mean() + half), x.size, method)


def bootstrap_draws(
    strata: Sequence[np.ndarray], statistic: Callable[..., np.ndarray | float], resamples: int, seed: int
) -> np.ndarray:
    """(resamples,) statistic of resamples with replacement, each stratum resampled within itself and then pooled."""
    rng = np.random.default_rng(seed)
    out = []
    for size in _chunks(resamples, sum(map(len, strata))):
        drawn = [stratum[rng.integers(0, len(stratum), (size, len(stratum)))] for stratum in strata]
        out.append(np.asarray(statistic(np.concatenate(drawn, axis=1), axis=1)))
    return np.concatenate(out)


def _chunks(resamples: int, values: int) -> list[int]:
    """Sizes of the portions in which resamples of so many values are drawn, so that memory stays bounded."""
    size = max(1, VALUES_AT_ONCE // values)
    return [min(size, resamples - done) for done in range(0, resamples, size)]


def expanded_tail(n: int, confidence: float) -> float:
    """Tail probability of an expanded percentile interval.

    A percentile interval of n values is too narrow by about sqrt((n-1)/n) z / t; asking for this smaller tail
    instead makes it as wide as Student's t for a mean (Hesterberg, "What teachers should know about the
    bootstrap", The American Statistician, 2015). Measured on the IQM of 5 normal scores: 94 % of the intervals hold
    the truth, 90 % without.
    """
    return float(stats.norm.cdf(-np.sqrt(n / (n - 1)) * stats.t.ppf(0.5 + confidence / 2, n - 1)))


def stratified_bootstrap(
    strata: Sequence[Sequence[float] | np.ndarray],
    statistic: Callable[..., np.ndarray | float] = iqm,
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
    expanded: bool = True,
) -> Estimate:
    """Percentile bootstrap interval of a pooled statistic; seeds are resampled within each stratum (scenario).

    Args:
        strata: One list of per-seed scores a stratum, at least 2 scores in each.
        statistic: Called as ``statistic(array, axis=1)``.
        confidence: Two-sided level.
        resamples: 2,000 while exploring, 50,000 for a report.
        seed: Of the resampling.
        expanded: Correct the tails for small samples (``expanded_tail`` of the smallest stratum).
    """
    groups = [_replicates(s) for s in strata]
    smallest = min(len(g) for g in groups)
    if smallest < 2:
        raise ValueError("A bootstrap needs at least 2 replicates in every stratum.")
    tail = expanded_tail(smallest, confidence) if expanded else (1 - confidence) / 2
    low, high = np.quantile(bootstrap_draws(groups, statistic, resamples, seed), [tail, 1 - tail])
    pooled = np.concatenate(groups)
    name = "IQM" if statistic is iqm else "mean" if statistic is _mean else statistic.__name__
    method = f"{name}, {100 * confidence:g} % bootstrap interval ({resamples:,} resamples)"
    return Estimate(float(statistic(pooled, axis=0)), float(low), float(high), len(pooled), method)


def estimate(
    values: Sequence[float] | np.ndarray,
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """The estimate over training seeds: IQM and bootstrap from 5 seeds on, mean and Student's t below."""
    x = _replicates(values)
    if x.size < MIN_SEEDS_FOR_BOOTSTRAP:
        return t_interval(x, confidence)
    return stratified_bootstrap([x], iqm, confidence=confidence, resamples=resamples, seed=seed)


def estimate_mean(
    values: Sequence[float] | np.ndarray, *, confidence: float = CONFIDENCE, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """The estimate over workloads: the plain mean (a policy's score is a mean), bootstrap from 5 workloads on."""
    x = _replicates(values)
    if x.size < MIN_SEEDS_FOR_BOOTSTRAP:
        return t_interval(x, confidence)
    return stratified_bootstrap([x], _mean, confidence=confidence, resamples=resamples, seed=seed)


def relative_pct(ours: Sequence[float] | np.ndarray | float, other: Sequence[float] | np.ndarray | float) -> np.ndarray:
    """(n,) relative differences ``100 (ours - other) / |other|`` in percent, pair by pair."""
    base = np.asarray(other, dtype=np.float64)
    return 100.0 * (np.asarray(ours, dtype=np.float64) - base) / np.abs(base)


def paired_ratio_pct(
    ours: Sequence[float] | np.ndarray,
    other: Sequence[float] | np.ndarray,
    *,
    confidence: float = CONFIDENCE,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Estimate:
    """``100 (mean ours - mean other) / |mean other|`` over paired workloads, the pairs resampled together."""
    a, b = _replicates(ours), _replicates(other)
    if a.shape != b.shape:
        raise ValueError(f"Pairs need two lists of one length; got {len(a)} and {len(b)}.")
    value = float(relative_pct(a.mean(), b.mean()))
    if len(a) < MIN_SEEDS_FOR_BOOTSTRAP:
        # The linearised ratio: residuals of a against the common ratio, scaled by the mean of b.
        residual = t_interval(100.0 * (a - b * a.mean() / b.mean()) / abs(b.mean()), confidence)
        return Estimate(value, value + residual.low, value + residual.high, residual.n, residual.method)
    rng = np.random.default_rng(seed)
    draws = []
    for size in _chunks(resamples, len(a)):
        rows = rng.integers(0, len(a), (size, len(a)))
        draws.append(relative_pct(a[rows].mean(axis=1), b[rows].mean(axis=1)))
    tail = expanded_tail(len(a), confidence)
    low, high = np.quantile(np.concatenate(draws), [tail, 1 - tail])
    method = f"ratio of means, {100 * confidence:g} % paired bootstrap interval ({resamples:,} resamples)"
    return Estimate(value, float(low), float(high), len(a), method)


def sign_flip_p(differences: Sequence[float] | np.ndarray, seed: int = 0) -> float:
    """Two-sided sign-flip permutation p-value of paired differences (statistic: the absolute mean).

    Exact up to 14 pairs; above, 20,000 drawn sign patterns with the observed one counted in. Its smallest
    possible value with n pairs is ``2 / 2^n``: 0.25 for 3 seeds, 0.0625 for 5.
    """
    d = _replicates(differences)
    observed = abs(d.mean())
    if d.size <= EXACT_FLIPS:
        signs = np.array(list(itertools.product((1.0, -1.0), repeat=d.size)))
        extra = 0
    else:
        signs = np.random.default_rng(seed).choice((1.0, -1.0), (DRAWN_FLIPS, d.size))
        extra = 1
    # Rounding must not make an equal pattern count as smaller.
    as_large = np.abs(signs @ d) / d.size >= observed * (1 - 1e-12)
    return float((as_large.sum() + extra) / (len(signs) + extra))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down adjustment of a family of p-values, in the given order; nan stays nan, uncounted."""
    p = np.asarray(p_values, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(p))
    adjusted = np.full(p.shape, np.nan)
    worst = 0.0
    for rank, index in enumerate(known[np.argsort(p[known], kind="stable")]):
        worst = max(worst, min(1.0, (len(known) - rank) * p[index]))
        adjusted[index] = worst
    return [float(value) for value in adjusted]


def probability_of_improvement(ours: Sequence[float] | np.ndarray, other: Sequence[float] | np.ndarray) -> float:
    """P(a run of ours is lower, that is better, than a run of the other), over all pairs of runs; ties count half."""
    a, b = _replicates(ours)[:, None], _replicates(other)[None, :]
    return float(((a < b) + 0.5 * (a == b)).mean())


def replicates_to_settle(differences: Sequence[float] | np.ndarray, confidence: float = CONFIDENCE) -> int | None:
    """Replicates at which Student's t interval would exclude zero, if mean and spread stay as they are.

    Returns:
        The number; None where it cannot be told (one value) or would exceed 10,000.
    """
    d = _replicates(differences)
    if d.size < 2 or d.mean() == 0:
        return None
    sd, size = d.std(ddof=1), abs(d.mean())
    n = np.arange(2, MOST_REPLICATES + 1)
    enough = stats.t.ppf(0.5 + confidence / 2, n - 1) * sd / np.sqrt(n) < size
    return int(n[np.argmax(enough)]) if enough.any() else None


def rounded_up(replicates: int) -> int:
    """From 100 on with two digits, up: more is what an extrapolation is not worth."""
    if replicates < 100:
        return replicates
    scale = 10 ** (len(str(replicates)) - 2)
    return -(-replicates // scale) * scale


#: A difference that lies below this with its whole interval is shown as 0.00 % and decides nothing.
EQUAL_PCT = 0.005


def verdict(difference: Estimate, to_settle: int | None, unit: str = "seeds", lower_is_better: bool = True) -> str:
    """``better``, ``worse``, ``equal`` or ``inconclusive (...)`` for a difference ours minus other, in %."""
    if all(abs(bound) < EQUAL_PCT for bound in (difference.value, difference.low, difference.high)):
        return "equal"
    if not difference.holds_zero:
        return "better" if (difference.value < 0) == lower_is_better else "worse"
    if difference.n < 2:
        return ONE_SEED
    if to_settle is None:
        return f"inconclusive (more than {MOST_REPLICATES:,} {unit} would be needed to settle it)"
    needed = rounded_up(max(to_settle, difference.n + 1))
    return f"inconclusive (about {needed:,} {unit} would settle it)"
