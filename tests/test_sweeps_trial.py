"""What a trial does with REPORT, with a training that is not real: for choosing, never; for judging, once and noted."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from rl_sched.config import build
from rl_sched.errors import SweepError
from rl_sched.evaluation.openings import openings
from rl_sched.evaluation.scores import COLUMNS
from rl_sched.provenance import package_hash
from rl_sched.sweeps import results
from rl_sched.sweeps.ledger import Ledger, read_json, write_json, write_outcome
from rl_sched.sweeps.plan import Cell, Plan
from rl_sched.sweeps.trial import ROWS_BEST, ROWS_LAST, run_trial
from rl_sched.tracking.spool import read_spool

ARM, EPISODES = "network.name=mlp", 10**6  #: more than there are REPORT seeds


@pytest.fixture
def plan() -> Plan:
    search = {"ppo.lr": {"kind": "float", "low": 1e-4, "high": 1e-2}}
    data = {"name": "toy", "question": "?", "arms": {"network.name": ["mlp"]}, "seeds": [1], "search": search}
    return build(Plan, {**data, "report": {"episodes": EPISODES}})


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Replaces training and playing; holds the openings that were on record when each evaluation began."""
    counts: list[int] = []

    def train(experiment, out_dir: Path, **kwargs):
        for name in ("best", "last"):
            (out_dir / name).mkdir(parents=True)
        stopped = experiment.ppo.lr > 5e-3
        return SimpleNamespace(
            checkpoint=out_dir / "best", best_val=7.0, steps=5, seconds=1.0, curve=[{"steps": 5}], stopped_early=stopped
        )

    def evaluate(policies, scenario, seeds):
        ((arm, checkpoint),) = policies.items()
        (entry,) = openings(checkpoint)
        assert entry["episodes"] == len(seeds) == len(scenario.seeds.report)
        counts.append(len(openings(checkpoint)))
        return pd.DataFrame([(arm, scenario.name, 1, seeds[0], "mean_jct_s", 3.0)], columns=list(COLUMNS))

    monkeypatch.setattr("rl_sched.rl.training.train", train)
    monkeypatch.setattr("rl_sched.rl.learned_policy.LearnedPolicy.load", lambda path: path)
    monkeypatch.setattr("rl_sched.evaluation.protocol.evaluate", evaluate)
    return counts


def _cell(plan: Plan, ledger: Ledger, searched: dict[str, float]) -> tuple[Cell, Path]:
    cell = plan.cell(ARM, "default", 1, searched)
    return cell, ledger.open_cell(cell)


def test_a_trial_of_a_grid_opens_report_once_for_each_checkpoint(plan: Plan, tmp_path: Path, played: list[int]) -> None:
    cell, folder = _cell(plan, Ledger(tmp_path), {})
    outcome = run_trial(cell, folder, lambda step, metrics: None)
    assert played == [1, 1] and outcome.objective == 7.0 and outcome.checkpoint == "train/best"
    assert outcome.metrics["report/mean_jct_s"] == outcome.metrics["report_last/mean_jct_s"] == 3.0
    assert (folder / ROWS_BEST).is_file() and (folder / ROWS_LAST).is_file()


def test_a_search_opens_report_for_what_it_chose_alone(plan: Plan, tmp_path: Path, played: list[int]) -> None:
    ledger = Ledger(tmp_path)
    cell, folder = _cell(plan, ledger, {"ppo.lr": 1e-3})
    outcome = run_trial(cell, folder, lambda step, metrics: None)
    assert played == [] and openings(folder / "train" / "best") == [] and not (folder / ROWS_BEST).exists()
    assert all((folder / name).exists() for name in outcome.files)
    for _ in range(2):
        results._judge_once(cell, ledger)
    assert played == [1, 1], "the second time, the rows are there"
    (metrics,) = (r for r, _ in read_spool(folder / "spool.jsonl") if r["op"] == "metrics")
    assert metrics["values"]["report/mean_jct_s"] == 3.0


def test_a_trial_that_was_stopped_is_not_done(plan: Plan, tmp_path: Path, played: list[int]) -> None:
    cell, folder = _cell(plan, Ledger(tmp_path), {"ppo.lr": 9e-3})
    with pytest.raises(SweepError, match="must train to its last step; it was stopped after 5 of"):
        run_trial(cell, folder, lambda step, metrics: None)
    assert played == []


def test_the_report_says_when_another_code_made_its_trials(plan: Plan, tmp_path: Path, played: list[int]) -> None:
    ledger = Ledger(tmp_path)
    cell, folder = _cell(plan, ledger, {})
    write_outcome(folder, run_trial(cell, folder, lambda step, metrics: None))
    found = [results.Candidate(ARM, "default", {}, [cell], 1.0, 7.0)]
    assert results._code_notes(found, ledger) == []
    write_json(folder / "done.json", {**(read_json(folder / "done.json") or {}), "code": "0ld"})
    (note,) = results._code_notes(found, ledger)
    assert note.startswith("1 of 1 training runs were made by another version") and package_hash() in note
