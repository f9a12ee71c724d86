"""``python -m rl_sched.evaluate``: its table, its JSON, its ledger, and what it says to wrong inputs."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rl_sched import evaluate as verb
from rl_sched.config import ExperimentConfig
from rl_sched.errors import CheckpointError, ConfigError
from rl_sched.evaluation.openings import openings
from rl_sched.scenarios import SCENARIOS
from rl_sched.sweeps import contenders
from tests.test_evaluation_protocol import Trained

FEW = ["--episodes", "24", "--policies", "fifo_backfill,sjf_backfill"]


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that loads as a stand-in for a learned policy."""
    folder = tmp_path / "best"
    folder.mkdir()
    monkeypatch.setattr(contenders, "load_checkpoint", lambda path: (path, Trained("min_min")))
    return folder


def test_rules_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert verb.main(FEW) == 0
    out = capsys.readouterr().out
    assert out.startswith("Scenario default: 24 VAL workloads on 8 x a100 + 4 x v100 + 4 x t4.\n")
    table = [line.split()[0] for line in out.splitlines()[4:6]]
    assert table == ["sjf_backfill", "fifo_backfill"]
    assert "against sjf_backfill" in out and "Rules are not trained: n = 24 workloads" in out


def test_learned_policy_beside_the_rules(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert verb.main(["--checkpoint", str(checkpoint), *FEW]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f"learned: checkpoint {checkpoint}, training seed 7."
    assert lines[2].startswith("VAL workloads also chose the checkpoint, so") and "--final" in lines[2]
    assert lines[6].startswith("learned ") and lines[6].rstrip().endswith("–")
    sjf = next(line for line in lines if line.startswith("sjf_backfill "))
    assert sjf.endswith("better") and " % [-" in sjf
    assert any("one training seed (n = 1)" in line and "over workloads only" in line for line in lines)
    assert any(line.startswith("learned against SJF (sjf_backfill): -") for line in lines)
    assert openings(checkpoint) == []  # VAL is not counted


def test_final_opens_report_and_counts_it(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ["--checkpoint", str(checkpoint), *FEW, "--final", "--json"]
    assert verb.main(args) == 0
    first = json.loads(capsys.readouterr().out)
    assert (first["split"], first["episodes"], first["report_openings"]) == ("report", 24, [1])
    assert first["first_seed"] == SCENARIOS.create("default").seeds.report[0]
    assert verb.main(args) == 0
    second = json.loads(capsys.readouterr().out)
    assert "REPORT opened 2 times for this checkpoint." in second["notes"]
    assert not any("VAL" in note for note in second["notes"])
    assert first["rows"] == second["rows"]
    learned = second["rows"][0]
    assert learned["name"] == "learned" and set(learned["versus"]) == {"fifo_backfill", "sjf_backfill"}
    c = learned["versus"]["sjf_backfill"]
    assert c["over"] == "workloads" and c["difference_pct"]["n"] == 24 and c["difference_pct"]["value"] < 0


def test_several_checkpoints_are_replicates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = {"a": ("min_min", 1), "b": ("fifo_backfill", 2), "c": ("min_min", 3), "twin": ("min_min", 1)}
    policies = {name: Trained(rule, ExperimentConfig(seed=seed)) for name, (rule, seed) in rules.items()}
    other = Trained("min_min", ExperimentConfig(seed=4))
    other.experiment = replace(other.experiment, scenario="philly")
    policies["other"] = other
    monkeypatch.setattr(contenders, "load_checkpoint", lambda path: (path, policies[path.name]))
    for name in policies:
        (tmp_path / name).mkdir()
    paths = [str(tmp_path / name) for name in ("a", "b", "c")]
    assert verb.main(["--checkpoint", *paths, *FEW, "--final", "--json"]) == 0
    out = json.loads(capsys.readouterr().out)
    assert out["checkpoints"] == paths and out["report_openings"] == [1, 1, 1]
    row = out["rows"][0]
    c = row["versus"]["sjf_backfill"]
    assert row["name"] == "learned" and c["over"] == "training seeds" and c["difference_pct"]["n"] == 3
    with pytest.raises(ConfigError, match="different training seeds; .*a' and .*twin' both have seed 1. Leave one out"):
        verb.main(["--checkpoint", paths[0], str(tmp_path / "twin"), *FEW])
    with pytest.raises(ConfigError, match="differ in the training seed only; .* Evaluate them one by one"):
        verb.main(["--checkpoint", paths[0], str(tmp_path / "other"), *FEW])


def test_out_writes_a_report(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "made" / "here"
    assert verb.main(["--checkpoint", str(checkpoint), *FEW, "--out", str(out)]) == 0
    figures = {"intervals_default", "jct_cdf_default", "performance_profile_default", "pareto_default"}
    drawn = {f"{name}.{suffix}" for name in figures for suffix in ("png", "pdf")}
    assert {f.name for f in out.iterdir()} == {
        "report.md",
        "report.tex",
        "report.html",
        "report.json",
        "rows.csv",
        *drawn,
    }
    report = (out / "report.md").read_text()
    assert "**learned**" in report and "- VAL workloads also chose the checkpoint" in report
    written = f"Written: {out / 'report.md'}, report.tex, report.html, report.json, rows.csv and 4 figures."
    assert written in capsys.readouterr().out


def test_fitted_rules_on_val_are_noted(capsys: pytest.CaptureFixture[str]) -> None:
    verb.main(["--episodes", "2", "--policies", "fifo_backfill,min_min_tuned", "--json"])
    assert "the parameters of the *_tuned rules" in json.loads(capsys.readouterr().out)["notes"][-1]


def test_scenario_of_the_checkpoint_is_the_default(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verb.main(["--checkpoint", str(checkpoint), "--scenario", "ppo-jobs", "--episodes", "1", "--policies", "fifo"])
    assert "episode return" in capsys.readouterr().out


def test_wrong_inputs_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        verb.main(["--checkpoint", str(tmp_path / "none")])
    with pytest.raises(ConfigError, match="Unknown policy 'sfj'. Did you mean 'sjf'?"):
        verb.main(["--policies", "sfj"])
    with pytest.raises(ConfigError, match="--policies must name at least one rule"):
        verb.main(["--policies", " ,"])
    with pytest.raises(ConfigError, match="Unknown scenario 'defualt'. Did you mean 'default'?"):
        verb.main(["--scenario", "defualt"])
    for episodes in ("0", "-1", "2000"):
        with pytest.raises(ConfigError, match="number of episodes must be between 1 and 1024"):
            verb.main(["--episodes", episodes])
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        verb.main(["--checkpoint", str(tmp_path)])  # a folder without a checkpoint in it


def test_defaults_are_known_names() -> None:
    args = verb.parse([])
    assert args.episodes is None and not args.final and args.checkpoint == []
    assert contenders.DEFAULT_SCENARIO in SCENARIOS
    scenario = SCENARIOS.create("default")
    assert set(contenders.choose_policies(None, scenario)) > {"min_min", "min_min_tuned", "sjf_backfill"}
    assert list(contenders.choose_policies("sjf, min_min_tuned", scenario)) == ["sjf", "min_min_tuned"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--checkpoint", "nowhere"], "'nowhere' does not exist."),
        (["--episodes", "0", "--policies", "fifo"], "must be between 1 and 1024"),
    ],
)
def test_command_prints_one_sentence_and_exits_with_2(args: list[str], message: str, repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rl_sched.evaluate", *args], cwd=repository, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2 and done.stdout == ""
    assert message in done.stderr and len(done.stderr.splitlines()) == 1 and "Traceback" not in done.stderr


class Asked(Trained):
    """A stand-in whose network is called for every decision, as a learned one's is."""

    def play_episodes(self, scenario, seeds):
        for _ in range(50):
            self.network(torch.zeros(1))
        return super().play_episodes(scenario, seeds)


def test_latencies_are_columns_and_leave_no_hook(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = Asked("min_min")
    policy.network = torch.nn.Identity()
    monkeypatch.setattr(contenders, "load_checkpoint", lambda path: (path, policy))
    args = ["--checkpoint", str(tmp_path), "--latency", "--episodes", "3", "--policies", "sjf_backfill", "--json"]
    assert verb.main(args) == 0
    out = json.loads(capsys.readouterr().out)
    assert any(note.startswith("Decision latencies: one run of workload") for note in out["notes"])
    for row in out["rows"]:
        assert 0 < row["means"]["p50_decision_latency_s"] <= row["means"]["p99_decision_latency_s"] < 10
    assert not policy.network._forward_pre_hooks
    verb.main(args[:-1])
    assert "p50 / p99 decision (ms)" in capsys.readouterr().out
