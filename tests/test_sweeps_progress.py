"""The line that tells how far a sweep is."""

from __future__ import annotations

import io

import pytest

from rl_sched.config import build
from rl_sched.sweeps import progress
from rl_sched.sweeps.plan import Plan
from rl_sched.sweeps.progress import ProgressLine
from rl_sched.sweeps.source import Amount

STEPS = 100_000


def test_time_left_of_a_continued_sweep_counts_only_what_this_run_does(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = build(
        Plan,
        {
            "name": "toy",
            "question": "When will it end?",
            "base": {"train": {"steps": STEPS}},
            "arms": {"network.name": ["mlp"]},
            "seeds": [1, 2, 3, 4],
        },
    )
    cells = [*plan.cells(["default"])]
    clock, out = iter(range(0, 10_000, 20)), io.StringIO()
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    line, total = ProgressLine(out), Amount(0, 4, "trials", 4.0 * STEPS)
    line.update(total, {c.id: (c, 0.0) for c in cells[:2]}, 0, {})
    for made in (60_000.0, 62_000.0, 64_000.0, 66_000.0):  # 100 steps/s each, from checkpoints at 60,000
        line.update(total, {c.id: (c, made) for c in cells[:2]}, 0, {})
    left_s = (4 * STEPS - 2 * 66_000) / 200
    told = out.getvalue().splitlines()[-1]
    assert told.endswith(f"about {progress.duration_text(left_s * 80 / 60)} left"), told  # the first 20 s made none
