"""The verbs as a user meets them: right and wrong command lines, and what the README says to type."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from rl_sched import train as train_verb
from rl_sched import tune_rule as tune_verb
from rl_sched.config import ExperimentConfig
from rl_sched.errors import ConfigError
from rl_sched.policies import POLICIES
from rl_sched.registry import Registry
from rl_sched.scenarios import SCENARIOS
from rl_sched.scenarios.base import SeedRanges
from rl_sched.traces import TRACES
from rl_sched.verbs import python_command

TINY = [
    "--set", "train.steps=4096", "--set", "train.num_envs=16", "--set", "train.val_every=2048",
    "--set", "train.val_episodes=4", "--set", "train.checkpoint_every=2048", "--set", "ppo.rollout=32",
    "--set", "ppo.minibatch=256", "--set", "ppo.epochs=1",
]  # fmt: skip


@pytest.mark.parametrize(
    ("verb", "args", "message"),
    [
        ("train", ["--set", "ppo.lrr=1"], "Unknown key 'ppo.lrr'. Did you mean 'lr'?"),
        ("train", ["--config", "none.yaml"], "'none.yaml' does not exist"),
        ("train", ["--resume", "nowhere"], "There is nothing to resume"),
        ("train", ["--resume", "nowhere", "--seed", "2"], "Give --resume DIR alone"),
        ("train", ["--algo", "dqm"], "Did you mean 'dqn'"),
        ("train", ["--set", "a=[1,2"], "'a=[1,2' is not valid YAML"),
        ("tune_rule", ["--policy", "fifo"], "has no parameters to tune"),
        ("tune_rule", ["--policy", "min_mim"], "Did you mean 'min_min'?"),
        ("tune_rule", ["--policy", "min_min", "--scenario", "defualt"], "Did you mean 'default'?"),
        ("tune_rule", ["--policy", "min_min", "--candidates", "0"], "candidates must be between 1"),
    ],
)
def test_mistakes_leave_with_code_2_and_one_sentence(verb: str, args: list[str], message: str, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", f"rl_sched.{verb}", *args], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert run.returncode == 2
    assert message in run.stderr
    assert "Traceback" not in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1


def test_tune_rule_prints_one_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert tune_verb.main(["--policy", "index", "--candidates", "4", "--episodes", "8", "--json"]) == 0
    out = json.loads(capsys.readouterr().out)
    assert out["candidates"] == 4 and out["val_episodes"] == 8
    assert out["val_mean"] <= out["val_mean_default"]


def test_train_leaves_a_checkpoint_and_continues(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "run")
    assert train_verb.main([*TINY, "--out", out]) == 0
    text = capsys.readouterr().out
    assert "VAL mean_jct_s" in text and "python -m rl_sched.evaluate --checkpoint" in text
    assert (tmp_path / "run" / "best" / "weights.safetensors").is_file()
    assert train_verb.main(["--resume", out]) == 0
    with pytest.raises(
        ConfigError, match="holds an earlier run: continue it with --resume .*, delete it with --overwrite"
    ):
        train_verb.main([*TINY, "--out", out])
    assert (tmp_path / "run" / "last").is_dir()


def test_an_interrupted_run_names_the_command_that_continues_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rl_sched.rl import checkpoint, training
    from rl_sched.rl.networks import NETWORKS
    from rl_sched.testing.toy_env import ToySpec, ToyVectorEnv

    seen: list[tuple[bool, int]] = []

    def stopped(experiment: ExperimentConfig, out: Path, *, resume: bool, **_: object) -> training.TrainResult:
        seen.append((resume, experiment.seed))
        if not resume:
            network = NETWORKS.load(experiment.network.name)(ToySpec(), experiment.network, 0.0)
            probe = checkpoint.probe_observations(ToyVectorEnv)
            checkpoint.save(out / "last", experiment, network, probe, {"steps": 256})
        return training.TrainResult(out / "best", out / "last", 1.0, 256, 2.0, [], stopped_early=True)

    monkeypatch.setattr(training, "train", stopped)
    out = str(tmp_path / "a run")
    assert train_verb.main(["--seed", "3", "--steps", "900", "--out", out]) == 130
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("continue it: "))
    words = shlex.split(line.removeprefix("continue it: "))
    assert words == [python_command(), "-m", "rl_sched.train", "--resume", out]
    assert train_verb.main(words[3:]) == 130
    assert train_verb.main(["--out", out, "--overwrite"]) == 130
    assert seen == [(False, 3), (True, 3), (False, 1)]


def test_tune_rule_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = replace(SCENARIOS.create("default"), missing="The log is not here.", splits=SeedRanges(*[range(0)] * 3))
    monkeypatch.setattr(SCENARIOS, "create", lambda name: world)
    with pytest.raises(ConfigError, match="The log is not here."):
        tune_verb.main(["--policy", "min_min"])


def test_nothing_to_resume() -> None:
    with pytest.raises(ConfigError, match="nothing to resume"):
        train_verb.main(["--resume", "no/such/folder"])


def test_commands_are_printed_as_they_can_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv" / "bin" / "python"))
    assert python_command() == "python"
    monkeypatch.chdir(tmp_path)
    assert python_command() == ".venv/bin/python"


def _blocks(readme: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", readme, re.S)


def test_python_of_the_readme_runs(repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace, policy = _blocks((repository / "README.md").read_text(), "python")
    fixture = repository / "tests" / "fixtures" / "jobs_small.csv"
    exec(trace.replace('"jobs.csv"', repr(str(fixture))), {})
    printed = capsys.readouterr().out.split()
    assert printed[0::2] == ["fifo_backfill", "sjf_backfill", "min_min"]
    assert all(float(value) > 0 for value in printed[1::2])
    module: dict = {"__name__": "longest"}
    exec(policy, module)
    from rl_sched.sim.simulator import simulate
    from rl_sched.testing.policies import CLUSTER, small_workload

    result = simulate(module["Longest"](), small_workload(1), CLUSTER)
    assert result.num_unfinished == 0


def test_commands_of_the_readme_exist(repository: Path) -> None:
    readme = (repository / "README.md").read_text()
    for command in re.findall(r"^(?:\.venv/bin/python) (.+)$", readme, re.M):
        words = command.split()
        if words[0] == "-m":
            path = words[1].replace(".", "/")
            assert (repository / f"{path}.py").is_file() or (repository / path / "__main__.py").is_file(), command
            options = {word for word in words if word.startswith("--")}
            subcommand = list(itertools.takewhile(lambda word: not word.startswith("--"), words[1:]))
            asked = [sys.executable, "-m", *subcommand, "--help"]
            help_text = subprocess.run(asked, cwd=repository, capture_output=True, text=True, timeout=60).stdout
            assert all(option in help_text for option in options), command
        else:
            assert (repository / words[0]).is_file(), command
    targets = set(re.findall(r"^([a-z-]+):", (repository / "Makefile").read_text(), re.M))
    assert set(re.findall(r"`?make ([a-z-]+)", readme)) <= targets


@pytest.mark.parametrize(("page", "table"), [("policies", POLICIES), ("traces", TRACES)])
def test_pages_name_every_entry(page: str, table: Registry, repository: Path) -> None:
    text = (repository / "docs" / f"{page}.md").read_text()
    ranges = {f"f{k}" for k in range(1, 5)} if "`f1` to `f4`" in text else set()
    named = set(re.findall(r"`([a-z0-9_-]+)`", "\n".join(re.findall(r"^\| ([^|]*) \|", text, re.M))))
    assert set(table) <= named | ranges


def test_alarms(capsys: pytest.CaptureFixture[str]) -> None:
    from rl_sched.rl.training import Progress

    sac = {"entropy_tuned_nats": 0.9, "entropy_aim_nats": 0.3, "temperature": 0.5}
    calm = Progress(
        steps=900, total_steps=1000, steps_per_s=1.0, seconds_left=1.0, val_mean_jct_s=1.0, noop_share=0.45,
        greedy_minus_sampled_frac=0.01, metrics={**sac, "entropy_tuned_nats": 0.31}, val_score=1.0, best_val_score=1.0,
        validated=True,
    )  # fmt: skip
    console = train_verb._Console()
    console(calm)
    assert "alarm" not in capsys.readouterr().out
    console(replace(calm, noop_share=0.7, greedy_minus_sampled_frac=0.2, metrics=sac))
    alarms = [line.strip() for line in capsys.readouterr().out.splitlines() if "alarm" in line]
    assert alarms == [
        "alarm: 70% of the decisions are waits (healthy: 40 to 50 %)",
        "alarm: greedy is 20% worse than sampled",
        "alarm: entropy is 3 x the one aimed at (temperature 0.5)",
    ]
    console(replace(calm, steps=100, noop_share=0.7))
    assert "alarm" not in capsys.readouterr().out  # too early to tell
