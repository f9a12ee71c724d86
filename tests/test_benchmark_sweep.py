"""The sweep benchmark runs; its long figures are only looked at."""

from __future__ import annotations

import json

import pytest

from benchmarks import sweep
from benchmarks.sweeps import efficiency, logging_cost
from benchmarks.sweeps.options import toy_plan
from rl_sched.errors import ConfigError


def test_every_figure_loads_and_mistakes_are_named() -> None:
    assert all(callable(sweep.FIGURES.load(name)) for name in sweep.FIGURES)
    with pytest.raises(ConfigError, match="Unknown figure 'kill'. Did you mean 'kills'"):
        sweep.main(["--figures", "kill"])
    with pytest.raises(ConfigError, match="--trials must be whole numbers"):
        sweep.main(["--figures", "logging", "--trials", "many"])


def test_a_report_costs_a_trial_little(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(logging_cost, "REPEATS", 2)
    assert sweep.main(["--figures", "logging", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["figures"]
    assert row["unit"] == "ms" and 0 < row["ours"] < 10 * row["peer"]


def test_simulated_workers_are_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficiency, "WORKERS", 4)
    assert 0.9 < efficiency._share(toy_plan(16, max_concurrent=4)) <= 1.0
