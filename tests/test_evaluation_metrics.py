"""Metrics of a run, by hand on runs small enough to check on paper."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_sched.cluster import ClusterSpec, GpuType, NodeGroup
from rl_sched.errors import ConfigError
from rl_sched.evaluation import metrics
from rl_sched.evaluation.energy import electricity_cost_usd, pool_energy_kwh
from rl_sched.evaluation.fairness import finish_time_fairness
from rl_sched.evaluation.timeline import Segments
from rl_sched.policies.bounds.lower import LowerBounds
from rl_sched.sim.rules import Rules
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
    assert m["flops_utilisation_frac"] == pytest.approx(m["utilisation_frac"])
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


def test_interrupted_jobs() -> None:
    # A job of 10 s is preempted after 4 s, waits 6 s more and pays 2 s; the other is killed once. 2 first starts,
    # 2 restarts and 1 preemption in 8 decisions.
    result = run([0, 0], [0, 0], [18, 30], [1, 2], waited_s=[6, 5], ran_s=[12, 25], preemptions=[1, 0], kills=[0, 1])
    result = replace(result, decisions=8)
    m = metrics.run_metrics(result)
    assert (m["num_preemptions"], m["num_kills"]) == (1, 1)
    assert m["mean_wait_s"] == 5.5
    assert m["mean_bounded_slowdown"] == pytest.approx((18 / 12 + 30 / 25) / 2)
    assert m["noop_share_frac"] == pytest.approx(3 / 8)
    cut = replace(result, finish_s=np.array([18, np.nan]))
    assert np.isnan(metrics.noop_share_frac(cut))


def test_gaps_to_what_no_schedule_can_beat() -> None:
    m = metrics.run_metrics(THREE, bounds=LowerBounds(140.0, 120.0))  # JCTs of 10, 30 and 170 s
    assert (m["mean_jct_bound_s"], m["mean_jct_gap_frac"]) == (pytest.approx(140 / 3), pytest.approx(0.5))
    assert m["makespan_gap_frac"] == pytest.approx(0.5)
    met = metrics.run_metrics(THREE, bounds=LowerBounds(210 * (1 + 1e-12), 180.0))
    assert (met["mean_jct_gap_frac"], met["makespan_gap_frac"]) == (0.0, 0.0)
    cut = metrics.run_metrics(run([0, 0], [0, np.nan], [5, np.nan], [1, 1]), bounds=LowerBounds(10.0, 5.0))
    assert np.isnan(cut["mean_jct_gap_frac"]) and np.isnan(cut["makespan_gap_frac"])
    assert cut["mean_jct_bound_s"] == 5


def test_deadlines_and_priorities() -> None:
    result = run([0, 0, 0, 0], [0, 5, 9, np.nan], [5, 9, 20, np.nan], [1] * 4, priority=[0, 2, 2, 0])
    late = replace(result, deadline_s=np.array([5.0, 8.0, np.inf, 19.0]))
    m = metrics.run_metrics(late)
    assert (m["num_deadline_misses"], m["deadline_miss_frac"]) == (2, pytest.approx(2 / 3))
    # The run ends at 20: whether the job that was left would have met a deadline of 21 is not known.
    assert metrics.deadline_misses(replace(late, deadline_s=np.full(4, 21.0))).sum() == 0
    assert m["mean_jct_priority_2_s"] == 14.5 and np.isnan(m["mean_jct_priority_0_s"])
    alone = metrics.run_metrics(THREE)
    assert not any("priority" in name or "deadline" in name for name in alone)
    many = run(range(12), range(12), range(1, 13), [1] * 12, priority=range(12))
    assert not any("priority" in name for name in metrics.run_metrics(many))


def test_finish_time_fairness_by_hand() -> None:
    # Alone, a job is where it would be on its own.
    assert finish_time_fairness(run([3], [3], [13], [4])).tolist() == [1.0]
    # Two gangs of 4 on 4 GPUs, one after the other, 10 s each. The first meets 2 jobs: with half of the cluster it
    # would take 20 s. The second meets 2 for 10 s and 1 for 10 s: 1.5 on average, so 15 s.
    assert finish_time_fairness(run([0, 0], [0, 10], [10, 20], [4, 4])) == pytest.approx([10 / 20, 20 / 15])
    # Gangs that fit their shares are not stretched.
    assert finish_time_fairness(run([0, 0], [0, 10], [10, 20], [1, 1], duration_s=[10, 10])).tolist() == [1, 2]
    assert np.isnan(finish_time_fairness(run([0, 0], [0, np.nan], [5, np.nan], [1, 1]))).all()
    m = metrics.run_metrics(run([0, 0], [0, 10], [10, 20], [4, 4]))
    assert m["max_finish_time_fairness"] == pytest.approx(4 / 3)


def test_shares_are_those_of_the_virtual_cluster() -> None:
    cluster = ClusterSpec((NodeGroup("gpu", 1, 4, "a"), NodeGroup("gpu", 1, 2, "b")))
    both = run([0, 0, 0], [0, 10, 0], [10, 20, 7], [4, 4, 2], gpu_type=[0, 0, 1])
    rho = finish_time_fairness(replace(both, cluster=cluster))
    assert rho == pytest.approx([10 / 20, 20 / 15, 1.0])


#: 2 GPUs of 100 to 300 W and 4 of 50 to 150 W; 1 and 2 $ an hour.
TWO_TYPES = ClusterSpec(
    (NodeGroup("slow", 1, 2), NodeGroup("fast", 1, 4)),
    (GpuType("slow", 1e12, 8, 100, 300, 1.0), GpuType("fast", 4e12, 8, 50, 150, 2.0)),
)


def test_energy_and_cost_by_hand() -> None:
    # An hour: one slow GPU busy all the time, two fast ones for the second half.
    result = run([0, 0], [0, 1800], [3600, 3600], [1, 2], gpu_type=[0, 1], pool_busy_gpu_s=[3600, 3600])
    result = replace(result, cluster=TWO_TYPES)
    assert pool_energy_kwh(result) == pytest.approx([0.3 + 0.1, 0.150 + 3 * 0.050])
    m = metrics.run_metrics(result)
    assert m["energy_kwh"] == pytest.approx(0.7) and m["gpu_cost_usd"] == pytest.approx(1 * 1.0 + 1 * 2.0)
    assert m["utilisation_frac"] == pytest.approx(2 / 6)
    assert m["flops_utilisation_frac"] == pytest.approx((1 + 4) / (2 + 16))
    assert "electricity_cost_usd" not in m
    flat = metrics.run_metrics(result, Rules(tariff=(("slow", (0.5,)), ("*", (0.1,)))))
    assert flat["electricity_cost_usd"] == pytest.approx(0.4 * 0.5 + 0.3 * 0.1)
    with pytest.raises(ConfigError, match="names 'slwo'. Did you mean 'slow'"):
        electricity_cost_usd(result, (("slwo", (0.5,)),))


def test_hourly_prices() -> None:
    # From 23:30 to 0:30, one slow GPU busy throughout; the fast ones cost nothing.
    begin_s = 23.5 * 3600
    result = run([begin_s], [begin_s], [begin_s + 3600], [1], pool_busy_gpu_s=[3600, 0])
    result = replace(result, cluster=TWO_TYPES)
    prices = tuple(1.0 + hour for hour in range(24))
    # Half an hour at 24 $, half an hour at 1 $; 400 W of the two slow GPUs.
    assert electricity_cost_usd(result, (("slow", prices),)) == pytest.approx(0.2 * 24 + 0.2 * 1)
    assert electricity_cost_usd(result, (("slow", (2.0,) * 24),)) == pytest.approx(0.8)
    # Interrupted: the columns do not tell when it ran, segments do.
    split = replace(result, preemptions=np.array([1]), pool_busy_gpu_s=np.array([1800.0, 0.0]))
    assert np.isnan(electricity_cost_usd(split, (("slow", prices),)))
    rest = Segments(*(np.array([value]) for value in (0, 0, begin_s, begin_s + 1800, 4, 1.0, -1)))
    assert electricity_cost_usd(split, (("slow", prices),), rest) == pytest.approx(0.2 * 24 + 0.1 * 1)


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
