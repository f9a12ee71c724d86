"""Do the statistics hold what they say? ``python -m benchmarks.statistics [--json]``.

- The largest relative difference to SciPy over random samples: interquartile mean, Student's t interval, the exact
  sign-flip test, probability of improvement.
- Coverage: how many of simulated sweeps with n training seeds have the true effect inside the 95 % interval. A sweep
  draws n paired seeds whose scores share what a seed makes hard, with normal, skewed and heavy-tailed noise; the
  interval is the one of the report's column "vs reference".
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.report import emit
from rl_sched.evaluation import statistics as st

#: Training seeds of a simulated sweep; the first is the one that is promised.
SEEDS = (10, 5)
CASES, RESAMPLES = 4_000, 2_000
PROMISED = "0.92 to 0.98"
#: Relative effect of the simulated arm, in percent, and the spread of its noise.
EFFECT_PCT, SPREAD_PCT = -4.0, 3.0

#: Noise with mean 0 and standard deviation 1, symmetric or not; (rng, shape) -> array.
Noise = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
NOISES: dict[str, Noise] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "skewed (gamma, shape 4)": lambda rng, shape: (rng.gamma(4.0, size=shape) - 4.0) / 2.0,
    "heavy tails (t, 5 degrees)": lambda rng, shape: rng.standard_t(5, size=shape) / np.sqrt(5 / 3),
}


def population_iqm(noise: Noise, seeds: int) -> float:
    """What the estimate over ``seeds`` values is an estimate of: the expectation of their interquartile mean."""
    draws = noise(np.random.default_rng(99), (400_000, seeds))
    return float(np.mean(st.iqm(draws, axis=1)))


def coverage(noise: Noise, seeds: int, cases: int, resamples: int) -> float:
    """Share of simulated sweeps whose interval of the paired difference holds the truth."""
    rng = np.random.default_rng(seeds)
    truth = EFFECT_PCT + SPREAD_PCT * population_iqm(noise, seeds)
    hits = 0
    for case in range(cases):
        hard = rng.lognormal(4.7, 0.1, seeds)
        ours = hard * (1 + (EFFECT_PCT + SPREAD_PCT * noise(rng, (seeds,))) / 100)
        found = st.estimate(st.relative_pct(ours, hard), resamples=resamples, seed=case)
        hits += found.low <= truth <= found.high
    return hits / cases


def largest_difference(samples: int) -> float:
    """The largest relative difference to SciPy over random samples of 5 to 12 values."""
    rng = np.random.default_rng(1)
    apart = []
    for _ in range(samples):
        n = int(rng.integers(5, 13))
        x, y = rng.lognormal(0, 1, n), rng.lognormal(0, 1, n)
        low, high = stats.t.interval(st.CONFIDENCE, n - 1, x.mean(), stats.sem(x))
        interval = st.t_interval(x)
        flips = stats.permutation_test(
            (x - y,), lambda d, axis: np.abs(d.mean(axis=axis)), permutation_type="samples", n_resamples=np.inf,
            vectorized=True, alternative="greater",
        )  # fmt: skip
        u = stats.mannwhitneyu(y, x).statistic
        for ours, theirs in (
            (st.iqm(x), stats.trim_mean(x, 0.25)),
            (interval.low, low),
            (interval.high, high),
            (st.sign_flip_p(x - y), flips.pvalue),
            (st.probability_of_improvement(x, y), u / n**2),
        ):
            apart.append(abs(float(ours) - float(theirs)) / max(abs(float(theirs)), 1e-12))
    return max(apart)


def measure(cases: int = CASES, resamples: int = RESAMPLES) -> list[dict[str, Any]]:
    """All figures."""
    alone = {"peer": None, "peer_name": None, "ratio": None}
    apart = largest_difference(max(cases // 40, 10))
    rows = [{"name": "largest difference to scipy", "unit": "relative", "ours": apart, **alone, "peer_name": "1e-9"}]
    for seeds in SEEDS:
        for name, noise in NOISES.items():
            found = coverage(noise, seeds, cases, resamples)
            title = f"coverage of 95 % intervals, {seeds} seeds, {name}"
            rows.append({"name": title, "unit": "share", "ours": found, **alone, "peer_name": PROMISED})
    return rows


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.statistics", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--cases", type=int, default=CASES, help=f"simulated sweeps a figure (default {CASES:,})")
    arguments = parser.parse_args()
    emit(measure(arguments.cases), arguments.json)


if __name__ == "__main__":
    main()
