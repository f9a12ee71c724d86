"""Metrics of a run, by hand on runs small enough to check on paper."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_sched.evaluation import metrics
from tests.evaluation_cases import run

#: Two users on 4 GPUs: jobs of 10, 20 and 100 s; the second waits 10 s, the third 70 s.
THREE = run([0, 0, 10], [0, 10, 80], [10, 30, 180], [2, 4, 1], [0, 0, 1])


def test_metrics_by_hand() -> None:
    m = metrics.run_metrics(THREE)
    assert m["mean_jct_s"] == pytest.approx((10 + 30 + 170) / 3)
    assert m["median_jct_s"] == 30
    assert m["p95_jct_s"] == pytest.approx(30 + 0.9 * 140)
    assert m["mean_wait_s"] == pytest.approx((0 + 10 + 70) / 3)
    assert m["mean_bounded_slowdown"] == pytest.approx((1 + 30 / 20 + 170 / 100) / 3)
    assert m["makespan_s"] == 180
    assert m["utilisation_frac"] == pytest.approx((2 * 10 + 4 * 20 + 100) / (4 * 180))
    x = np.array([30 / 40, 100 / 170])  # running over present time of the two users
    assert m["jain_user_frac"] == pytest.approx(x.sum() ** 2 / (2 * (x**2).sum()))
    assert m["num_unfinished"] == 0
    assert m["noop_share_frac"] == 0.5


def test_short_jobs_count_as_tau_in_the_bounded_slowdown() -> None:
    result = run([0, 0], [0, 40], [1, 41], [1, 1])
    assert metrics.bounded_slowdown(result).tolist() == [1.0, 4.1]
    assert metrics.bounded_slowdown(result, tau_s=1.0).tolist() == [1.0, 41.0]


def test_unfinished_jobs_leave_no_mean_and_are_counted() -> None:
    m = metrics.run_metrics(run([0, 0, 0], [0, 5, np.nan], [5, np.nan, np.nan], [1, 1, 1]))
    assert m["num_unfinished"] == 2
    for name in ("mean_jct_s", "median_jct_s", "p95_jct_s", "p99_jct_s", "mean_wait_s", "makespan_s"):
        assert np.isnan(m[name]), name
    assert np.isnan(m["mean_bounded_slowdown"]) and np.isnan(m["jain_user_frac"])
    assert m["utilisation_frac"] > 0


def test_cdf_counts_unfinished_jobs_as_never_done() -> None:
    result = run([0, 0, 0, 0], [0, 0, 0, np.nan], [1, 10, 100, np.nan], [1, 1, 1, 1])
    assert metrics.jct_cdf(result, np.array([0.5, 1, 10, 99, 1e6])).tolist() == [0, 0.25, 0.5, 0.5, 0.75]


def test_jain_index_of_known_shares() -> None:
    assert metrics.jain_index(np.array([1.0, 1.0, 1.0])) == 1.0
    assert metrics.jain_index(np.array([1.0, 0.0, 0.0, 0.0])) == 0.25
    assert np.isnan(metrics.jain_index(np.array([])))


@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=20), st.floats(0.01, 100))
def test_jain_index_is_bounded_and_free_of_scale(shares: list[float], scale: float) -> None:
    x = np.array(shares)
    value = metrics.jain_index(x)
    assert 1 / len(x) - 1e-12 <= value <= 1 + 1e-12
    assert metrics.jain_index(scale * x) == pytest.approx(value)
