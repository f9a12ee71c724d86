"""The figures of a scaling study, from trials whose times are known."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_sched.errors import SweepError
from rl_sched.plots import FIGURES
from rl_sched.sweeps.scaling import Span, measure, summarise


def _sweep(workers: int, each: int, training_s: float, inside_s: float, between_s: float) -> list[Span]:
    """Workers that start one after the other and never wait longer than ``between_s``."""
    spans = []
    for worker in range(workers):
        now_s = 100.0 + 0.01 * worker
        for _ in range(each):
            spans.append(Span(now_s, now_s + training_s + inside_s, training_s))
            now_s += training_s + inside_s + between_s
    return sorted(spans)


@given(
    workers=st.integers(1, 8), each=st.integers(2, 6), training_s=st.floats(1.0, 60.0), inside_s=st.floats(0.0, 0.5),
    between_s=st.floats(0.0, 0.5),
)  # fmt: skip
def test_what_was_put_in_comes_out(
    workers: int, each: int, training_s: float, inside_s: float, between_s: float
) -> None:
    point = summarise(_sweep(workers, each, training_s, inside_s, between_s), workers, 90.0, 1.0)
    assert point.start_s == pytest.approx(10.0 + 0.01 * (workers - 1))
    assert (point.inside_s, point.between_s) == (pytest.approx(inside_s, abs=1e-9), pytest.approx(between_s, abs=1e-9))
    cycle_s = training_s + inside_s + between_s
    assert point.wall_s == pytest.approx(each * cycle_s - between_s + 0.01 * (workers - 1))
    assert point.trials_per_min == pytest.approx(60 * workers * each / point.wall_s)
    # The window may cut a gap at its ends: at most one a worker.
    assert point.efficiency == pytest.approx(
        training_s / cycle_s, abs=(between_s + 0.1) / ((each - 1) * cycle_s) + 1e-6
    )


def test_an_idle_worker_costs_efficiency() -> None:
    both = [Span(0.0, 10.0, 10.0), Span(0.0, 10.0, 10.0), Span(10.0, 20.0, 10.0), Span(20.0, 30.0, 10.0)]
    assert summarise(both, 2, 0.0, 0.0).efficiency == pytest.approx(30 / 40)


def test_too_few_trials_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SweepError, match="at least 2 x workers = 8; there are 7"):
        measure(tmp_path, 4, 7, 1.0)


@pytest.mark.slow
def test_a_small_study_is_measured_and_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    point = measure(tmp_path, 2, 6, 2.0)
    assert (point.workers, point.trials, point.trial_s) == (2, 6, pytest.approx(2.0))
    assert 0.1 < point.efficiency <= 1.0 and point.inside_s >= 0 and point.driver_cpu_s > 0
    assert FIGURES.load("scaling").data([point]).ideal[1].tolist() == [60.0]
