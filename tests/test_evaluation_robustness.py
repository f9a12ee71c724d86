"""Conditions that policies were not made for, and what is said about them."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rl_sched import evaluate as verb
from rl_sched.errors import CheckpointError, ConfigError
from rl_sched.evaluation import robustness as rb
from rl_sched.evaluation.conditions import CLUSTER_FACTOR, conditions
from rl_sched.evaluation.openings import openings
from rl_sched.scenarios import SCENARIOS
from rl_sched.sweeps import contenders
from tests.evaluation_cases import arm
from tests.sweep_cases import conditions_and_rows
from tests.test_evaluation_protocol import Trained

NAMES = ["home", "load -50 %", "load +50 %", "estimates 20 % off", "estimates 100 % off",
         "cluster x2 at the same load", "node failures"]  # fmt: skip


def test_each_condition_changes_one_thing() -> None:
    home = SCENARIOS.create("default")
    asked, notes = conditions(home, [SCENARIOS.create("poisson")])
    assert [c.name for c in asked] == [*NAMES, "poisson"] and notes == []
    by = {c.name: c.scenario for c in asked}
    seed = home.seeds.val[3]
    jobs = home.workload(seed)
    load = jobs.offered_load(home.cluster)
    for name, factor in (("load -50 %", 0.5), ("load +50 %", 1.5), ("cluster x2 at the same load", 1.0)):
        assert by[name].workload(seed).offered_load(by[name].cluster) == pytest.approx(factor * load)
        assert (by[name].workload(seed).duration_s == jobs.duration_s).all()
        assert by[name].rules == home.rules
    assert by["cluster x2 at the same load"].cluster.num_gpus == CLUSTER_FACTOR * home.cluster.num_gpus
    assert by["estimates 100 % off"].rules == replace(home.rules, estimate_noise=1.0)
    failing = by["node failures"].rules
    submit_s = home.workload(home.seeds.val[0]).submit_s
    span_s = submit_s[-1] - submit_s[0]
    assert failing.mtbf_s == pytest.approx(span_s / 2, rel=0.01) and failing.checkpoint_interval_s
    for c in asked[:-1]:
        assert c.at_home and c.scenario.seeds == home.seeds
    assert pickle.loads(pickle.dumps(by["load +50 %"].make)).factor == 1.5


def test_conditions_that_the_rules_forbid_are_named() -> None:
    asked, notes = conditions(SCENARIOS.create("ppo-jobs"))
    assert [c.name for c in asked] == [n for n in NAMES if n.startswith(("home", "load", "cluster"))]
    assert len(notes) == 3 and all("is left out: dispatch='one_start_per_event'" in note for note in notes)


def test_standings_pair_under_a_condition_and_with_home() -> None:
    asked, rows = conditions_and_rows()
    assert rb.best_rule(rows, "home") == "min_min"
    found = rb.standings(rows, asked, "min_min", resamples=200)
    at = {(s.condition, s.row.name): s for s in found}
    learned = arm("mlp", "off")
    for name in ("min_min", "fifo", learned):
        assert at["home", name].change is None and at["other", name].change is None  # other jobs
        change = at["load +50 %", name].change
        assert change is not None and change[:3] == pytest.approx((50, 50, 50))
    assert at["home", "min_min"].versus is None
    versus = [at[c.name, learned].versus for c in asked]
    assert all(v is not None and v.value == pytest.approx(versus[0].value) for v in versus)
    assert rb.conclusions(found, "min_min") == [
        "network=mlp, lookahead=off against min_min: worse under home, load +50 %, other."
    ]
    shown = rb.shown_policies(found, "min_min", most=3)
    assert shown == [learned, "min_min", "sjf_backfill"]
    table = rb.robustness_table(found, shown, "min_min")
    assert len(table.rows) == 9 and table.rows[0][1].startswith("**network=mlp")
    with pytest.raises(ConfigError, match="judged against a rule"):
        rb.best_rule(rows[rows["policy"] == learned], "home")


class Refusing(Trained):
    """A learned policy whose network has no room for a larger cluster."""

    def play_episodes(self, scenario, seeds):
        if scenario.cluster.num_gpus > 16:
            raise CheckpointError("The network is too small.")
        return super().play_episodes(scenario, seeds)


def test_the_verb_writes_a_table_and_a_figure_and_counts_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "best", tmp_path / "out"
    folder.mkdir()
    monkeypatch.setattr(contenders, "load_checkpoint", lambda path: (path, Refusing("min_min")))
    asked = ["--checkpoint", str(folder), "--robustness", "--policies", "fifo_backfill,sjf_backfill", "--episodes", "3"]
    assert verb.main([*asked, "--also", "poisson", "--out", str(out), "--final", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "learned cannot play under 'cluster x2 at the same load': The network is too small." in found["notes"]
    assert found["reference"] == "sjf_backfill" and found["report_openings"] == [len(NAMES) + 1]
    (sentence,) = found["conclusions"]
    assert sentence.startswith("learned against sjf_backfill: ") and "cluster" not in sentence
    changed = [r for r in found["rows"] if r["row"]["name"] == "fifo_backfill" and r["condition"] == "load +50 %"]
    assert np.isfinite(changed[0]["change"]["value"])
    names = {f"robustness.{suffix}" for suffix in ("md", "tex", "html", "png", "pdf")}
    assert {f.name for f in out.iterdir()} == names | {"rows.csv"}
    assert [e["scenario"] for e in openings(folder)] == [f"default: {name}" for name in [*NAMES, "poisson"]]
    written = (out / "robustness.md").read_text()
    assert "change from home %" in written and "![robustness](robustness.png)" in written
    with pytest.raises(ConfigError, match="Did you mean 'poisson'"):
        verb.main([*asked, "--also", "poison"])
