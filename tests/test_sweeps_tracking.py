"""What a sweep leaves in MLflow: sweep, arms and trials, aggregates, where it came from, and no run left open."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from rl_sched.config import build
from rl_sched.errors import RlSchedError, SweepError
from rl_sched.sweeps.cell import arm_run
from rl_sched.sweeps.ledger import Ledger
from rl_sched.sweeps.plan import Plan
from rl_sched.sweeps.tracking import SweepTracking, sync_all
from rl_sched.sweeps.worker import run_cell
from rl_sched.tracking import __main__ as verb
from rl_sched.tracking.environment import environment, git_state
from rl_sched.tracking.server import running_address
from rl_sched.tracking.spool import JsonlSpool, close_spool, open_runs, read_spool
from rl_sched.tracking.store import URI_VARIABLE, Store, connect

BODY = "rl_sched.testing.toy_trials:steady"


@pytest.fixture(autouse=True)
def embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may use a team's server."""
    monkeypatch.delenv(URI_VARIABLE, raising=False)


@pytest.fixture
def store(tmp_path: Path, mlflow_database: Path) -> Store:
    """A store with MLflow's tables, which take seconds to make."""
    made = Store(tmp_path / "data")
    made.data_dir.mkdir()
    shutil.copyfile(mlflow_database, made.database)
    return made


def _plan() -> Plan:
    return build(
        Plan,
        {
            "name": "toy",
            "question": "Does it run?",
            "base": {"train": {"steps": 40, "num_envs": 10, "val_every": 20, "checkpoint_every": 20}},
            "arms": {"network.name": ["mlp", "cross_attention"], "ppo.clip": [0.1]},
            "seeds": [1],
        },
    )


def _report(folder: Path) -> Path:
    """A report with one arm, one rule, and one number that is not known."""

    def estimate(value: float | None) -> dict[str, Any]:
        return {
            "value": value,
            "low": None if value is None else value - 1,
            "high": None if value is None else value + 1,
        }

    versus = {"min_min": {"difference_pct": estimate(-5.0)}, "sjf": {"difference_pct": estimate(None)}}
    arm = {"name": "network.name=mlp,ppo.clip=0.1", "learned": True, "score": estimate(90.0), "versus": versus}
    rule = {"name": "min_min", "learned": False, "score": estimate(95.0), "versus": {}, "seed_scores": {}}
    rows = [{**arm, "seed_scores": {"1": 90.0}}, rule]
    part = {
        "scenario": "default",
        "objective": {"metric": "mean_jct_s"},
        "sjf": "sjf",
        "best_rule": "min_min",
        "rows": rows,
    }
    folder.mkdir()
    (folder / "report.json").write_text(json.dumps({"scenarios": [part]}))
    return folder


def _by_kind(store: Store) -> dict[str, list[Any]]:
    client = connect(store.uri)
    experiment = client.get_experiment_by_name("toy")
    out: dict[str, list[Any]] = {}
    for run in client.search_runs([experiment.experiment_id]):
        out.setdefault(run.data.tags["kind"], []).append(run)
    return out


def test_sweep_arms_and_trials_are_a_tree_with_aggregates_and_provenance(store: Store, tmp_path: Path) -> None:
    plan, ledger = _plan(), Ledger(store.sweeps / "toy")
    tracking = SweepTracking(plan, ["default"], ledger, store)
    for cell in plan.cells():
        run_cell(cell, ledger.open_cell(cell), BODY, tracking.run, lambda news: None)
    tracking.finish("| table |", [_report(tmp_path / "report")], "FINISHED")
    assert tracking.close() is None

    runs = _by_kind(store)
    assert {kind: len(found) for kind, found in runs.items()} == {"sweep": 1, "arm": 2, "trial": 2}
    assert {run.info.status for found in runs.values() for run in found} == {"FINISHED"}
    (sweep,) = runs["sweep"]
    arms = {run.data.tags["arm"]: run for run in runs["arm"]}
    for arm in arms.values():
        assert arm.data.tags["mlflow.parentRunId"] == sweep.info.run_id
        assert arm.data.params["scenario"] == "default" and arm.data.params["ppo.clip"] == "0.1"
    for trial in runs["trial"]:
        tags = trial.data.tags
        assert tags["mlflow.parentRunId"] == arms[tags["arm"]].info.run_id
        assert set(tags) >= {"arm", "seed", "scenario", "code", "trace", "sweep", "outcome", "mlflow.user"}
        assert f"rl_sched.reproduce {tags['rl_sched.run']}" in tags["mlflow.note.content"]
        assert len(tags["trace"]) == 16 and tags["trace"] == arms[tags["arm"]].data.tags["trace"]
        sections = {name.partition("/")[0] for name in trial.data.metrics}
        assert sections >= {"eval", "train", "report"}
    arm = arms["network.name=mlp,ppo.clip=0.1"].data.metrics
    assert (arm["report/mean_jct_s"], arm["report/mean_jct_s_low"], arm["report/mean_jct_s_high"]) == (90.0, 89.0, 91.0)
    assert arm["report/vs_min_min_pct"] == -5.0 and "report/vs_sjf_pct" not in arm and arm["report/num_seeds"] == 1.0
    assert arms["network.name=cross_attention,ppo.clip=0.1"].data.metrics == {}
    on_parent = sweep.data.metrics
    assert on_parent["report/mean_jct_s default min_min"] == 95.0
    assert on_parent["report/mean_jct_s default network mlp clip 0.1"] == 90.0
    assert sweep.data.tags["mlflow.note.content"] == "| table |"
    files = {file.path for file in connect(store.uri).list_artifacts(sweep.info.run_id)}
    assert files >= {"plan.json", "environment.json", "report"}
    assert len(sweep.data.tags["mlflow.source.git.commit"]) == 40 and sweep.data.tags["mlflow.source.name"]
    experiment = connect(store.uri).get_experiment_by_name("toy")
    assert experiment.tags == {"mlflow.note.content": plan.question}

    # The same sweep again: nothing is doubled, and a new report is a new point.
    again = SweepTracking(plan, ["default"], ledger, store)
    again.finish("| table |", [tmp_path / "report"], "FINISHED")
    assert again.close() is None
    runs = _by_kind(store)
    assert {kind: len(found) for kind, found in runs.items()} == {"sweep": 1, "arm": 2, "trial": 2}
    history = connect(store.uri).get_metric_history(runs["sweep"][0].info.run_id, "report/mean_jct_s default min_min")
    assert [point.step for point in history] == [0, 1]


def test_no_run_is_left_open_by_a_driver_that_was_killed(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    plan, ledger = _plan(), Ledger(store.sweeps / "toy")
    tracking = SweepTracking(plan, ["default"], ledger, store)
    cell = plan.cells()[0]
    spool = JsonlSpool(ledger.open_cell(cell) / "spool.jsonl")
    spool.start_run(cell.id, name=cell.title, kind="trial", parent=arm_run(tracking.run, cell.arm, cell.scenario))
    assert tracking.close() is None
    assert {run.info.status for found in _by_kind(store).values() for run in found} == {"RUNNING"}

    with ledger.lock():  # its driver lives: its runs are its own
        assert sync_all(store) == []
    assert {run.info.status for found in _by_kind(store).values() for run in found} == {"RUNNING"}

    assert verb.main(["sync", "toy", "--data", str(store.data_dir)]) == 0
    assert "has everything" in capsys.readouterr().out
    runs = _by_kind(store)
    assert {run.info.status for found in runs.values() for run in found} == {"KILLED"}
    assert runs["trial"][0].data.tags["outcome"] == "interrupted"


def test_sync_names_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RlSchedError, match="no such folder"):
        verb.main(["sync", "--data", str(tmp_path / "none")])
    store = Store(tmp_path)
    JsonlSpool(store.sweeps / "toy" / "sweep.jsonl").close()
    with pytest.raises(SweepError, match="'toi' must be a sweep in .*: toy"):
        verb.main(["sync", "toi", "--data", str(tmp_path)])


def test_a_spool_is_closed_once(tmp_path: Path) -> None:
    path = tmp_path / "spool.jsonl"
    spool = JsonlSpool(path)
    for key in ("a", "b"):
        spool.start_run(key, name=key, kind="trial")
    spool.end_run("a", "FINISHED")
    spool.close()
    assert open_runs(path) == ["b"]
    assert close_spool(path) == 1 and close_spool(path) == 0
    ends = [(record["run"], record["status"]) for record, _ in read_spool(path) if record["op"] == "end"]
    assert ends == [("a", "FINISHED"), ("b", "KILLED")]
    assert close_spool(tmp_path / "none.jsonl") == 0 and not (tmp_path / "none.jsonl").exists()


def test_environment_and_git_state_say_where_a_result_comes_from(tmp_path: Path) -> None:
    begin_s = time.monotonic()
    facts = environment()
    assert facts["packages"]["mlflow"].startswith("3.") and facts["python"].startswith("3.11")
    assert git_state(tmp_path) is None
    for words in (["init", "-q"], ["config", "user.email", "a@b"], ["config", "user.name", "a"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    (tmp_path / "file").write_text("one\n")
    subprocess.run(["git", "add", "file"], cwd=tmp_path, check=True)
    subprocess.run(["git", "commit", "-qm", "one"], cwd=tmp_path, check=True)
    clean = git_state(tmp_path)
    assert clean is not None and clean.diff == "" and clean.tags()["git.dirty"] == "no" and len(clean.commit) == 40
    (tmp_path / "file").write_text("two\n")
    (tmp_path / "new").touch()
    dirty = git_state(tmp_path)
    assert dirty is not None and "+two" in dirty.diff and dirty.untracked == ("new",)
    assert dirty.tags()["git.dirty"] == "yes" and time.monotonic() - begin_s < 60


def test_a_server_is_announced_only_while_it_answers(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert running_address(store) is None
    (tmp_path / "mlflow_ui.json").write_text('{"address": "http://127.0.0.1:9"}')
    assert running_address(store) is None
    (tmp_path / "mlflow_ui.json").write_text("{torn")
    assert running_address(store) is None
