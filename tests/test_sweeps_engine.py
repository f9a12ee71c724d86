"""Sweeps of toy trials on a real Ray: they finish, repeat nothing, and say what went wrong."""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from rl_sched.config import build
from rl_sched.errors import SweepError
from rl_sched.sweep import sweep_main
from rl_sched.sweeps import nodes
from rl_sched.sweeps.engine import ENVIRONMENT, RunSummary, execute
from rl_sched.sweeps.ledger import LOST, Ledger
from rl_sched.sweeps.nodes import check_nodes
from rl_sched.sweeps.plan import Plan
from rl_sched.sweeps.progress import ProgressLine
from rl_sched.tracking.spool import read_spool
from rl_sched.tracking.store import Store

pytestmark = pytest.mark.sweep

ITERATIONS = 20


@pytest.fixture(scope="module", autouse=True)
def ray_for_all(repository: Path) -> Iterator[None]:
    """One local Ray for this file: it takes seconds to start."""
    os.environ.update({**ENVIRONMENT, "PYTHONPATH": str(repository), "RL_SCHED_TOY_SLEEP_S": "0.002"})
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=10**8)
    yield
    ray.shutdown()


def _plan(**change) -> Plan:
    train = {"steps": 10 * ITERATIONS, "num_envs": 10, "val_every": 50, "checkpoint_every": 20}
    data = {
        "name": "toy",
        "question": "Does it run?",
        "base": {"train": train, "ppo": {"lr": 7e-4}},
        "arms": {"network.name": ["mlp", "cross_attention"]},
        "seeds": [1, 2],
        "report": {"episodes": 4, "policies": ["fifo_backfill"]},
    }
    return build(Plan, {**data, **change})


def _execute(plan: Plan, root: Path, body: str, out: io.StringIO | None = None) -> tuple[Ledger, RunSummary]:
    ledger = Ledger(root)
    with ledger.lock():
        summary = execute(
            *(plan, ["default"], ledger, "S"),
            body=f"rl_sched.testing.toy_trials:{body}",
            progress=ProgressLine(out or io.StringIO()),
        )
    return ledger, summary


def _executed(ledger: Ledger) -> dict[str, int]:
    """Cell id -> iterations executed, over all attempts."""
    files = ledger.root.glob("cells/*/executed.txt")
    return {file.parent.name: len(file.read_text().splitlines()) for file in files}


def test_sweep_completes_and_the_same_again_runs_nothing(tmp_path: Path) -> None:
    plan, out = _plan(), io.StringIO()
    ledger, summary = _execute(plan, tmp_path / "root", "steady", out)
    assert not (summary.failures or summary.lost or summary.interrupted)
    assert _executed(ledger) == {cell.id: ITERATIONS for cell in plan.cells()}
    assert all(ledger.outcome(cell) is not None for cell in plan.cells())
    assert "4/4 trials done; none running; 0 failed; best on VAL, default: network=" in out.getvalue()
    assert not (ledger.root / "tune").exists(), "Tune's own files are not kept"
    again = io.StringIO()
    _, summary = _execute(plan, ledger.root, "steady", again)
    assert summary == RunSummary() and again.getvalue() == ""


def test_a_mistake_stops_the_sweep_with_its_message(tmp_path: Path) -> None:
    plan, out = _plan(seeds=[1, 2, 3, 4]), io.StringIO()
    ledger, summary = _execute(plan, tmp_path / "root", "broken", out)
    assert 1 <= len(summary.failures) <= 2, "the sweep ends at the first trial; a second one was running"
    cell, failure = summary.failures[0]
    assert failure.kind == "ValueError" and "not to my taste" in failure.message and "broken" in failure.traceback
    assert f"Trial {cell.title} failed: ValueError: learning rate 0.0007" in out.getvalue()
    ends = [r for r, _ in read_spool(ledger.folder(cell) / "spool.jsonl") if r["op"] == "end"]
    assert [r["status"] for r in ends] == ["FAILED"]


def test_a_dead_worker_is_replaced_and_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    plan, out = _plan(seeds=[1]), io.StringIO()
    ledger, summary = _execute(plan, tmp_path / "root", "dies_once", out)
    assert not summary.lost and not summary.failures
    # Killed in iteration 5, after the checkpoint of iteration 4.
    assert _executed(ledger) == {cell.id: ITERATIONS + 1 for cell in plan.cells()}
    assert out.getvalue().count("restart 1 of 2") == 2


def test_a_worker_that_always_dies_is_given_up(tmp_path: Path) -> None:
    plan, out = _plan(arms={"network.name": ["mlp"]}), io.StringIO()
    ledger, summary = _execute(plan, tmp_path / "root", "dies_always", out)
    assert [cell.seed for cell in summary.lost] == [1] and not summary.failures
    first, second = plan.cells()
    assert _executed(ledger) == {first.id: 3, second.id: ITERATIONS}
    ends = [r["status"] for r, _ in read_spool(ledger.folder(first) / "spool.jsonl") if r["op"] == "end"]
    assert ends == ["FAILED"]
    failure = ledger.failure(first)
    assert failure is not None and failure.kind == LOST


def test_search_prunes_and_completes(tmp_path: Path) -> None:
    plan = _plan(
        arms={"network.name": ["mlp"]},
        search={"ppo.lr": {"kind": "float", "low": 1e-5, "high": 9e-3, "log": True}},
        budget={"configurations": 6},
    )
    ledger, summary = _execute(plan, tmp_path / "root", "steady")
    assert not summary.failures
    with sqlite3.connect(ledger.root / "study.db") as db:
        states = [row[0] for row in db.execute("select state from trials")]
    assert len(states) == 6 and set(states) <= {"COMPLETE", "PRUNED"} and "COMPLETE" in states
    stopped = list(ledger.root.glob("cells/*/stopped.json"))
    for file in stopped:
        tags = [r["values"] for r, _ in read_spool(file.with_name("spool.jsonl")) if r["op"] == "tags"]
        assert {"outcome": "pruned"} in tags


def test_every_node_of_this_ray_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_nodes(tmp_path)
    mine = nodes.facts(tmp_path)
    monkeypatch.setattr(nodes, "package_hash", lambda: "0" * 16)  # of the driver, not of the nodes
    with pytest.raises(SweepError, match=rf"\({mine.host}\) has code {mine.code}: .*Nothing was started"):
        check_nodes(tmp_path)


@pytest.fixture
def tables(tmp_path: Path, mlflow_database: Path) -> None:
    """MLflow's tables, which take seconds to make, are there already."""
    (tmp_path / "data").mkdir()
    shutil.copyfile(mlflow_database, tmp_path / "data" / "mlflow.db")


def _command(tmp_path: Path, plan: Plan, *more: str) -> list[str]:
    file = tmp_path / "plan.yaml"
    from rl_sched.config import to_dict

    file.write_text(json.dumps({k: v for k, v in to_dict(plan).items() if k != "overrides"}))
    body = "rl_sched.testing.toy_trials:steady"
    return ["--plan", str(file), "--data", str(tmp_path / "data"), "--body", body, *more]


def test_command_writes_the_report_and_fills_mlflow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = _plan()
    assert sweep_main(tmp_path, "test", _command(tmp_path, plan)) == 0
    out = capsys.readouterr().out
    assert "fifo_backfill (rule)" in out and "network=mlp" in out and "Best on VAL, scenario default" in out
    assert "python -m rl_sched.evaluate --checkpoint" in out
    assert "Not registered as toy-default: " in out and "best.json' is not a checkpoint" in out
    report = tmp_path / "data" / "sweeps" / "toy" / "report"
    assert "Does it run?" in (report / "report.md").read_text()
    with sqlite3.connect(Store(tmp_path / "data").database) as db:
        runs = dict(db.execute("select name, status from runs"))
        kinds = dict(db.execute("select value, count(*) from tags where key = 'kind' group by value"))
        parents = db.execute("select count(distinct value), count(*) from tags where key = 'mlflow.parentRunId'")
        curve = db.execute("select count(*) from metrics where key = 'eval/val_cost'").fetchone()
        notes = [note for (note,) in db.execute("select value from tags where key = 'mlflow.note.content'")]
        assert parents.fetchone() == (3, 6)
    assert kinds == {"sweep": 1, "arm": 2, "trial": 4} and set(runs.values()) == {"FINISHED"} and curve == (4 * 4,)
    assert len(notes) == 7 and sum("| policy |" in note for note in notes) == 1, "a description on each run"
    files = sorted(f.name for f in (tmp_path / "data" / "artifacts").rglob("*") if f.is_file())
    assert "report.md" in files and "plan.json" in files and files.count("best.json") == 4

    # The same command again: nothing runs, the report is there, MLflow has the same runs.
    assert sweep_main(tmp_path, "test", _command(tmp_path, plan)) == 0
    assert "4 of 4 trials are finished already" in capsys.readouterr().out
    with sqlite3.connect(Store(tmp_path / "data").database) as db:
        assert db.execute("select count(*) from runs").fetchone() == (7,)
        assert db.execute("select count(*) from metrics where key = 'eval/val_cost'").fetchone() == (16,)


def test_sweep_does_not_notice_that_mlflow_is_away(
    tmp_path: Path, mlflow_database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = _plan(seeds=[1])
    data = tmp_path / "data"
    data.mkdir()
    (data / "mlflow.db").mkdir()  # no database can be made here, nor opened
    assert sweep_main(tmp_path, "test", _command(tmp_path, plan)) == 0
    out = capsys.readouterr().out
    assert "MLflow is not up to date" in out and "Best on VAL" in out and "policies are not registered either" in out
    (data / "mlflow.db").rmdir()
    shutil.copyfile(mlflow_database, data / "mlflow.db")
    assert sweep_main(tmp_path, "test", _command(tmp_path, plan)) == 0
    assert "MLflow is not" not in capsys.readouterr().out
    with sqlite3.connect(data / "mlflow.db") as db:
        assert db.execute("select count(*) from runs where status = 'FINISHED'").fetchone() == (5,)


@pytest.mark.usefixtures("tables")
def test_command_names_the_failure(tmp_path: Path) -> None:
    command = _command(tmp_path, _plan(seeds=[1]))
    command[command.index("rl_sched.testing.toy_trials:steady")] = "rl_sched.testing.toy_trials:broken"
    with pytest.raises(SweepError, match="ValueError: learning rate 0.0007 is not to my taste .*failed.json"):
        sweep_main(tmp_path, "test", command)


@pytest.mark.usefixtures("tables")
def test_a_failed_trial_does_not_suppress_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = _plan(arms={"ppo.lr": [7e-4, 2e-2]}, seeds=[1])
    command = _command(tmp_path, plan, "--set", "plan.max_concurrent=1")
    command[command.index("rl_sched.testing.toy_trials:steady")] = "rl_sched.testing.toy_trials:broken_when_high"
    with pytest.raises(SweepError, match="1 trials failed"):
        sweep_main(tmp_path, "test", command)
    assert "Best on VAL, scenario default" in capsys.readouterr().out
    root = tmp_path / "data" / "sweeps" / "toy"
    assert not (root / "report").exists(), "a variation has a report of its own"
    text = (next(root.glob("report-????????")) / "report.md").read_text()
    assert "This report is partial: 1 trials failed: lr=0.02; default, seed 1." in text
    assert "| **lr=0.02** | no result |" in text and "### Last checkpoint" in text and "chosen on VAL" in text
