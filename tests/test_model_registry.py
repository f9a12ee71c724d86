"""Policies in MLflow's model registry: what gets in, which one is the champion, and what comes out."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from rl_sched import evaluate as evaluate_verb
from rl_sched import register as register_verb
from rl_sched.config import ExperimentConfig, NetworkConfig, TrainConfig
from rl_sched.errors import CheckpointError, ConfigError, RlSchedError
from rl_sched.evaluation.openings import openings, record_opening
from rl_sched.provenance import package_hash
from rl_sched.rl import checkpoint
from rl_sched.rl.checkpoint_files import FILES, digest
from rl_sched.rl.networks import NETWORKS
from rl_sched.rl.task import ScenarioEnvs
from rl_sched.sweeps.catalogue import SHOWN, collect, to_text
from rl_sched.sweeps.champions import model_name, register_winners
from rl_sched.sweeps.plan import Cell
from rl_sched.sweeps.results import Best, Candidate
from rl_sched.tracking.models import ModelRegistry, check_alias, check_name
from rl_sched.tracking.registering import register
from rl_sched.tracking.store import Store, connect

EXPERIMENT = ExperimentConfig(network=NetworkConfig(hidden=8), train=TrainConfig(val_episodes=2))
FEW = ["--episodes", "2", "--policies", "fifo_backfill,sjf_backfill", "--json"]


@pytest.fixture(autouse=True)
def without_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scenarios of real logs are not available: reading the logs takes seconds."""
    monkeypatch.delenv("RL_SCHED_TRACES", raising=False)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Store:
    """One store for all tests of this file; each has models of its own."""
    made = Store(tmp_path_factory.mktemp("data"))
    shutil.copyfile(mlflow_database, made.database)
    return made


def untrained(folder: Path, score: float | None = 100.0, seed: int = 1, episodes: int = 2, **meta: Any) -> Path:
    """A checkpoint of the default scenario that works, with the VAL score that it is said to have."""
    experiment = replace(EXPERIMENT, seed=seed, train=replace(EXPERIMENT.train, val_episodes=episodes))
    make_env = ScenarioEnvs(experiment)
    spec = make_env(1, 0, "val").spec_obs
    torch.manual_seed(seed)
    network = NETWORKS.load("cross_attention")(spec, experiment.network, experiment.env.guide.prior)
    about = {"steps": 512, "spec": dict(spec._asdict()), "objective": "mean_jct_s", "val": {"score": score}, **meta}
    checkpoint.save(folder, experiment, network, checkpoint.probe_observations(make_env), about)
    return folder


def champion(store: Store, name: str) -> int:
    """The version that ``@champion`` means now."""
    return ModelRegistry(store).find(f"models:/{name}@champion").version


def evaluated(capsys: pytest.CaptureFixture[str], store: Store, *checkpoints: object) -> dict[str, Any]:
    assert evaluate_verb.main(["--checkpoint", *map(str, checkpoints), *FEW, "--data", str(store.data_dir)]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_registered_policy_plays_as_its_folder_does(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = untrained(tmp_path / "run" / "best")
    command = ["--checkpoint", str(tmp_path / "run"), "--name", "plays", "--data", str(store.data_dir)]
    assert register_verb.main(command) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == (
        "models:/plays/1 is ppo on default, seed 1, 512 steps, VAL mean_jct_s 100. It is now models:/plays@champion."
    )
    assert said[1].endswith(f"-m rl_sched.evaluate --checkpoint models:/plays/1 --data {store.data_dir}")
    (version,) = [v for v in ModelRegistry(store).versions() if v.name == "plays"]
    assert version.tags == {
        "scenario": "default", "algo": "ppo", "network": "cross_attention", "seed": "1", "steps": "512",
        "objective": "mean_jct_s", "val_score": "100.0", "val_episodes": "2", "code": package_hash(),
        "digest": digest(folder),
    }  # fmt: skip

    from_folder = evaluated(capsys, store, folder)
    out = evaluated(capsys, store, "models:/plays@champion")
    assert out["rows"] == from_folder["rows"] and out["conclusions"] == from_folder["conclusions"]
    assert out["notes"][1] == "models:/plays@champion is version 1 (champion) of the registered model plays."
    other = untrained(tmp_path / "other", seed=2)
    mixed = evaluated(capsys, store, other, "models:/plays/1")
    assert mixed["checkpoints"] == [str(other), *out["checkpoints"]]
    assert mixed["rows"][0]["versus"]["fifo_backfill"]["over"] == "training seeds"


def test_files_are_registered_once_and_stay_what_they_were(store: Store, tmp_path: Path) -> None:
    folder = untrained(tmp_path / "best")
    (folder / "resume_state.bin").write_bytes(b"optimiser")
    record_opening(folder, "default", 8)
    first = register(store, folder, "once")
    again = register(store, folder, "once")
    assert (
        first.version == again.version._replace(aliases=())
        and "It was so before, and is models:/once@champion." in again.sentence
    )
    kept = ModelRegistry(store).folder(again.version)
    assert sorted(f.name for f in kept.iterdir()) == sorted([*FILES, "report_openings.jsonl"])
    assert len(openings(kept)) == 1, "the count of REPORT openings travels with the policy"
    before = digest(folder)
    untrained(folder, seed=3)  # training goes on there
    assert digest(ModelRegistry(store).folder(again.version)) == before != digest(folder)
    assert register(store, folder, "once").version.version == 2


def test_a_worse_version_is_not_the_champion(store: Store, tmp_path: Path) -> None:
    for seed, score, expected, said in (
        (1, 100.0, 1, "It is now models:/better@champion."),
        (2, 101.0, 1, "stays version 1: its mean_jct_s over 2 VAL workloads is 100, that of the new one 101."),
        (3, None, 1, "stays version 1: the new one has no mean_jct_s on VAL."),
        (4, 100.0, 4, "It is now models:/better@champion (before: version 1)."),
        (5, 99.0, 5, "(before: version 4)"),
    ):
        done = register(store, untrained(tmp_path / str(seed), score, seed), "better")
        assert said in done.sentence
        assert (done.version.version, champion(store, "better")) == (seed, expected)
        assert done.moved == (seed == expected)
    other = untrained(tmp_path / "other", 1.0, objective="episode_return")
    said = register(store, other, "better").sentence
    assert "its objective is mean_jct_s and that of the new one episode_return" in said
    assert champion(store, "better") == 5
    register(store, tmp_path / "2", "better", alias="candidate")
    assert ModelRegistry(store).find("models:/better@candidate").version == 2
    assert champion(store, "better") == 5


def test_scores_over_other_workloads_are_made_comparable_by_play(store: Store, tmp_path: Path) -> None:
    from rl_sched.rl.learned_policy import LearnedPolicy

    folders = [untrained(tmp_path / str(seed), score=1.0, seed=seed, episodes=seed) for seed in (1, 2)]
    seeds = [2_000_000, 2_000_001]
    played = [[row for _, row in LearnedPolicy.load(f).play_episodes("default", seeds)] for f in folders]
    theirs, ours = (float(np.mean([row["mean_jct_s"] for row in rows])) for rows in played)
    theirs, ours = (np.inf if np.isnan(score) else score for score in (theirs, ours))
    register(store, folders[0], "played")
    done = register(store, folders[1], "played")
    assert done.moved == (ours <= theirs)
    if not done.moved:
        assert f"over 2 VAL workloads is {theirs:.4g}, that of the new one {ours:.4g}" in done.sentence


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("models:/lookups@champion", "no registered model 'lookups' in .* Did you mean 'lookup'\\? Known: .*lookup"),
        ("models:/lookup@champoin", "no alias 'champoin'. Did you mean 'champion'\\? It has version 1 \\(champion\\)."),
        ("models:/lookup/7", "has no version 7. It has version 1 \\(champion\\)."),
    ],
)
def test_what_is_not_registered(store: Store, tmp_path: Path, reference: str, message: str) -> None:
    if not any(v.name == "lookup" for v in ModelRegistry(store).versions()):
        register(store, untrained(tmp_path / "best"), "lookup")
    with pytest.raises(CheckpointError, match=message):
        evaluate_verb.main(["--checkpoint", reference, *FEW, "--data", str(store.data_dir)])


@pytest.mark.parametrize("reference", ["models:/", "models:/x", "models:/x/latest", "models:/x@a/1", "models://x@a"])
def test_what_is_not_a_reference(store: Store, reference: str) -> None:
    with pytest.raises(ConfigError, match="is written models:/NAME@ALIAS or models:/NAME/VERSION"):
        ModelRegistry(store).find(reference)


def test_no_store_and_a_broken_one(tmp_path: Path) -> None:
    nowhere = Store(tmp_path / "data")
    with pytest.raises(CheckpointError, match="'models:/x/1' is not registered: there is no model in .*--data"):
        ModelRegistry(nowhere).find("models:/x/1")
    assert not nowhere.data_dir.exists()
    broken = Store(tmp_path)
    broken.database.write_text("not a database")
    with pytest.raises(RlSchedError, match="MLflow's database .*mlflow.db cannot be read: file is not a database"):
        ModelRegistry(broken).find("models:/x/1")
    assert "not a database" in collect(broken).notes[0]


def test_a_poisoned_artifact_is_refused(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    version = register(store, untrained(tmp_path / "best"), "poisoned").version
    kept = ModelRegistry(store).folder(version)
    weights = load_file(kept / checkpoint.WEIGHTS)
    name = next(iter(weights))
    weights[name] = weights[name] + 0.1
    save_file(weights, kept / checkpoint.WEIGHTS)
    with pytest.raises(CheckpointError, match="models:/poisoned/1 in .* are not those that were registered"):
        evaluated(capsys, store, "models:/poisoned@champion")
    # Whoever can write the files may write the digest too: then the probe batch speaks.
    connect(store.uri).set_model_version_tag("poisoned", "1", "digest", digest(kept))
    with pytest.raises(CheckpointError, match="does not reproduce its stored probe batch"):
        evaluated(capsys, store, "models:/poisoned@champion")
    (kept / checkpoint.WEIGHTS).unlink()
    with pytest.raises(CheckpointError, match="incomplete: weights.safetensors is missing"):
        evaluated(capsys, store, "models:/poisoned@champion")
    shutil.rmtree(kept)
    with pytest.raises(CheckpointError, match="The files of models:/poisoned/1 are gone"):
        evaluated(capsys, store, "models:/poisoned@champion")
    register(store, tmp_path / "best", "poisoned")
    assert evaluated(capsys, store, "models:/poisoned@champion")["rows"]


def test_only_what_works_is_registered(store: Store, tmp_path: Path) -> None:
    folder = untrained(tmp_path / "best")
    good = (folder / checkpoint.WEIGHTS).read_bytes()
    (folder / checkpoint.WEIGHTS).write_bytes(b"\x80\x04garbage")
    with pytest.raises(CheckpointError, match="cannot be read"):
        register(store, folder, "works")
    (folder / checkpoint.WEIGHTS).write_bytes(good)
    (folder / "meta.json").write_text("{}")
    with pytest.raises(CheckpointError, match="must say how it was trained; KeyError 'val'"):
        register(store, folder, "works")
    with pytest.raises(CheckpointError, match="does not exist"):
        register(store, tmp_path / "none", "works")
    assert not any(v.name == "works" for v in ModelRegistry(store).versions())
    assert not (store.models / "works").exists()


def test_names_and_aliases() -> None:
    for good in ("ablation-default", "a_1.b"):
        assert check_name(good) == good
    for bad in ("", ".x", "-x", "a/b", "a b", "a:b", "a@b"):
        with pytest.raises(ConfigError, match="name of a model must be"):
            check_name(bad)
    for bad in ("", "latest", "v1", "V2", "a b", "1", "a@b"):
        with pytest.raises(ConfigError, match="An alias must be"):
            check_alias(bad)
    assert check_alias("v1-candidate") == "v1-candidate"
    assert check_name(model_name("ablation", "default mtbf_s:3600")) == "ablation-default-mtbf_s-3600"


def test_files_that_are_elsewhere_are_fetched_once(store: Store, tmp_path: Path) -> None:
    folder = untrained(tmp_path / "best")
    client = connect(store.uri)
    client.create_registered_model("fetched")
    client.create_model_version("fetched", "runs:/nowhere/best")
    with pytest.raises(RlSchedError, match="MLflow could not fetch the files of models:/fetched/1 .*nowhere"):
        ModelRegistry(store).folder(ModelRegistry(store).find("models:/fetched/1"))
    run = client.create_run(client.create_experiment("fetch", artifact_location=(tmp_path / "runs").as_uri()))
    client.log_artifacts(run.info.run_id, str(folder), "best")
    client.create_model_version("fetched", f"runs:/{run.info.run_id}/best")
    registry = ModelRegistry(store)
    got = registry.folder(registry.find("models:/fetched/2"))
    assert digest(got) == digest(folder) and got.is_relative_to(store.models)
    client.delete_run(run.info.run_id)
    shutil.rmtree(tmp_path / "runs")
    assert registry.folder(registry.find("models:/fetched/2")) == got
    row = next(m for m in collect(store).models if m["name"] == "fetched")
    assert row["model"] == "models:/fetched/2" and row["val_score"] is None and row["scenario"] is None


def test_versions_are_read_as_mlflow_shows_them(store: Store, tmp_path: Path) -> None:
    client = connect(store.uri)
    for seed in (1, 2, 3):
        register(store, untrained(tmp_path / str(seed), seed=seed), "shown", alias=f"seed{seed}")
    client.delete_model_version("shown", "2")
    read = [v for v in ModelRegistry(store).versions() if v.name == "shown"]
    assert [v.version for v in read] == [3, 1]
    for v in read:
        shown = client.get_model_version("shown", str(v.version))
        assert (list(v.aliases), v.tags, v.source) == (shown.aliases, shown.tags, shown.source)
        assert (v.run_id or None) == shown.run_id


def test_a_sweep_registers_its_winners(store: Store, tmp_path: Path) -> None:
    def won(scenario: str, folder: Path) -> Best:
        cell = Cell("base", scenario, 1, {}, {}, 4)
        return Best(scenario, Candidate("base", scenario, {}, [cell], 1.0, 100.0), folder, 1)

    run = connect(store.uri).create_run("0").info.run_id
    winners = [won("default", untrained(tmp_path / "best")), won("philly", tmp_path / "none")]
    first, second = register_winners("sweep", winners, store, lambda cell: run)
    assert first.startswith("Registered: models:/sweep-default/1 is ppo on default") and "now models:/sweep-" in first
    assert second.startswith("Not registered as sweep-philly: The checkpoint folder") and "does not exist" in second
    (version,) = [v for v in ModelRegistry(store).versions() if v.name == "sweep-default"]
    assert version.run_id == run and version.aliases == ("champion",)


def test_list_shows_what_there_is(store: Store, tmp_path: Path) -> None:
    untrained(tmp_path / "checkpoints" / "a" / "best", score=123.4)
    untrained(tmp_path / "checkpoints" / "b" / "last", score=None)
    (tmp_path / "checkpoints" / "c" / "best").mkdir(parents=True)
    (tmp_path / "checkpoints" / "c" / "best" / "meta.json").write_text("half a fi")
    register(store, tmp_path / "checkpoints" / "a", "listed")
    found = collect(store, tmp_path / "checkpoints")
    assert {"min_min", "fifo", "sjf_backfill"} <= set(found.rules) and found.notes == []
    missing = {s["name"]: s["missing"] for s in found.scenarios}
    assert missing["default"] is None and "RL_SCHED_TRACES" in missing["philly"]
    (model,) = [m for m in found.models if m["name"] == "listed"]
    assert (model["version"], model["aliases"], model["val_score"], model["algo"]) == (1, ["champion"], 123.4, "ppo")
    assert {Path(c["checkpoint"]).parent.name: c["val_score"] for c in found.checkpoints} == {"a": 123.4, "b": None}
    lines = to_text(found).splitlines()
    (row,) = [line.split() for line in lines if line.startswith("models:/listed/1")]
    assert row == ["models:/listed/1", "123.4", "mean_jct_s", "512", "1", "ppo", "default", "champion"]
    assert any(line.startswith("min_min_tuned") and "alpha=" in line for line in lines)
    assert any(line.split()[-2:] == ["default", "yes"] or line.endswith("  yes") for line in lines)
    many = found._replace(checkpoints=found.checkpoints * SHOWN)
    assert f"and {SHOWN} more: --json lists all." in to_text(many)


def test_list_needs_no_store_and_loads_little(store: Store, repository: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from rl_sched import evaluate\n"
        "for data in sys.argv[1:]: assert evaluate.main(['--list', '--json', '--data', data]) == 0\n"
        "loaded = {'torch', 'ray', 'optuna', 'mlflow', 'matplotlib', 'scipy.stats'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    register(store, untrained(tmp_path / "best"), "little")
    command = [sys.executable, "-c", code, str(tmp_path / "none"), str(store.data_dir)]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    first, second = map(json.loads, done.stdout.splitlines())
    assert first["models"] == [] and "little" in {m["name"] for m in second["models"]}
    assert not (tmp_path / "none").exists()


def test_command_prints_one_sentence_and_exits_with_2(repository: Path) -> None:
    command = [sys.executable, "-m", "rl_sched.register", "--checkpoint", "nowhere", "--name", "x"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and done.stdout == ""
    assert "'nowhere' does not exist." in done.stderr and len(done.stderr.splitlines()) == 1
