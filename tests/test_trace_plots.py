"""The figures of a trace: their numbers, and that they draw on awkward workloads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rl_sched.plots import FIGURES, style
from rl_sched.traces.synthetic import SyntheticTrace
from rl_sched.workload import Workload

WORKLOADS = {
    "usual": SyntheticTrace().load(1),
    "one job": Workload.build([7], [3.0], [2]),
    "all at once": Workload.build([0] * 5, [1e-3, 1, 60, 3600, 1e7], [1, 2, 3, 64, 1]),
    "long": Workload.build([0, 1e10], [5, 5], [1, 1]),
    "equal": Workload.build([0, 1, 2], [45.0] * 3, [1] * 3, gpu_milli=[1, 250, 999]),
}


@pytest.mark.parametrize("name", ["trace_arrivals", "trace_durations", "trace_gangs"])
@pytest.mark.parametrize("workload", WORKLOADS)
def test_draws_any_workload(name: str, workload: str, tmp_path: Path) -> None:
    jobs = WORKLOADS[workload]
    kind = FIGURES.load(name)
    data = kind.data(jobs, title="t")
    assert f"n = {len(jobs):,}" in data.caption
    file = style.save(kind(jobs), tmp_path / "x.png")
    assert file.read_bytes().startswith(b"\x89PNG") and file.stat().st_size > 5000


@pytest.mark.parametrize("workload", WORKLOADS)
def test_arrivals_add_up(workload: str) -> None:
    jobs = WORKLOADS[workload]
    data = FIGURES.load("trace_arrivals").data(jobs)
    assert (data.jobs_per_h * np.diff(data.edges_s)).sum() / 3600 == pytest.approx(len(jobs))
    assert len(data.jobs_per_h) <= 250 and data.time_s[0] == 0
    assert data.work_frac[-1] == 1 and (np.diff(data.work_frac) >= 0).all()


@pytest.mark.parametrize(
    ("span_s", "name", "bins"), [(0, "1 s", 1), (249, "1 s", 250), (86_399, "15 min", 96), (1e10, "463 days", 250)]
)
def test_bins_suit_the_length(span_s: float, name: str, bins: int) -> None:
    data = FIGURES.load("trace_arrivals").data(Workload.build([0, span_s], [1, 1], [1, 1]))
    assert f"bins of {name}." in data.caption and len(data.jobs_per_h) == bins


def test_durations_by_hand() -> None:
    jobs = Workload.build([0, 1, 2, 3], [40, 10, 30, 20], [1, 1, 2, 1])
    data = FIGURES.load("trace_durations").data(jobs)
    assert data.duration_s.tolist() == [10, 20, 30, 40]
    assert data.job_frac.tolist() == [0.25, 0.5, 0.75, 1]
    np.testing.assert_allclose(data.work_frac, np.array([10, 30, 90, 130]) / 130)
    assert data.marks == {"p50": 20, "p90": 40, "p99": 40}


def test_a_few_jobs_of_microseconds_do_not_take_the_axis() -> None:
    kind = FIGURES.load("trace_durations")
    usual = np.linspace(10, 1000, 999)
    one = Workload.build(range(1000), [1e-6, *usual], [1] * 1000)
    assert kind(one).axes[0].get_xlim()[0] > 5
    many = Workload.build(range(1000), [*([1e-6] * 10), *usual[:990]], [1] * 1000)
    assert kind(many).axes[0].get_xlim()[0] < 1e-6


def test_time_ticks_are_few_but_enough() -> None:
    kind = FIGURES.load("trace_durations")
    for low, high in ((1, 1e6), (700, 17_000), (45, 46), (0.002, 0.003)):
        axis = kind(Workload.build([0, 0], [low, high], [1, 1])).axes[0]
        ticks = axis.xaxis.get_major_locator()()
        assert 1 <= len(ticks) <= 14
        assert all(axis.get_xlim()[0] <= tick <= axis.get_xlim()[1] for tick in ticks)
    shown = kind(Workload.build([0, 0], [700, 17_000], [1, 1])).axes[0]
    assert "1 h" in [shown.xaxis.get_major_formatter()(tick, 0) for tick in shown.xaxis.get_major_locator()()]


def test_gangs_by_hand() -> None:
    jobs = Workload.build(range(6), [10] * 6, [1, 1, 1, 3, 4, 9], gpu_milli=[250, 990, 1000, 1000, 1000, 1000])
    data = FIGURES.load("trace_gangs").data(jobs)
    assert data.labels == ("≤ 0.25", "≤ 0.5", "≤ 0.75", "< 1", "1", "2", "3–4", "5–8", "9–16")
    np.testing.assert_allclose(data.job_frac * 6, [1, 0, 0, 1, 1, 0, 2, 0, 1])
    np.testing.assert_allclose(data.work_frac * 18.24, [0.25, 0, 0, 0.99, 1, 0, 7, 0, 9])
    whole = FIGURES.load("trace_gangs").data(Workload.build([0], [1], [2]))
    assert whole.labels == ("2",)
