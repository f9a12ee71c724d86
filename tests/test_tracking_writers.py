"""The two ways of runs into MLflow leave the same rows, and what goes wrong on them."""

from __future__ import annotations

import itertools
import json
import math
import shutil
import sqlite3
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_sched.tracking.client_writer import ClientWriter
from rl_sched.tracking.database_writer import SCHEMA, DatabaseWriter, is_known
from rl_sched.tracking.mlflow_sink import MlflowSink
from rl_sched.tracking.spool import JsonlSpool
from rl_sched.tracking.store import Store, connect


@pytest.fixture
def store(tmp_path: Path, mlflow_database: Path) -> Store:
    """A store with MLflow's tables, which take seconds to make."""
    made = Store(tmp_path / "data")
    made.data_dir.mkdir()
    shutil.copyfile(mlflow_database, made.database)
    return made


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> dict[str, Store]:
    """One for each way, for all examples: MLflow's first contact with a database takes a second."""
    made = {way: Store(tmp_path_factory.mktemp(way)) for way in ("database", "client")}
    for store in made.values():
        shutil.copyfile(mlflow_database, store.database)
    return made


def _sink_by_client(store: Store, folder: Path, experiment: str = "toy") -> MlflowSink:
    """A sink that knows nothing of the store but its address, as of a team's server."""
    client = connect(store.uri)
    if client.get_experiment_by_name(experiment) is None:
        # As a server's default, which for a database is the present folder.
        client.create_experiment(experiment, artifact_location=(store.artifacts / experiment).as_uri())
    return MlflowSink(Store(folder), experiment, store.uri, "What is it?")


_NAMES = st.sampled_from(["a", "train/b c", "eval/d"])
_NUMBERS = st.one_of(st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0]), st.floats(-1e9, 1e9))
_VALUES = st.dictionaries(_NAMES, _NUMBERS, min_size=1, max_size=3)
_TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
_RECORDS = st.one_of(
    st.tuples(st.just("metrics"), _VALUES, st.integers(-3, 3)),
    st.tuples(st.just("params"), st.dictionaries(_NAMES, _TEXTS, min_size=1)),
    st.tuples(st.just("tags"), st.dictionaries(st.sampled_from(["t", "u"]), _TEXTS, min_size=1)),
    st.tuples(st.just("start"), st.dictionaries(st.sampled_from(["t", "v"]), _TEXTS)),
    st.tuples(st.just("end"), st.sampled_from(["FINISHED", "FAILED", "KILLED"])),
    st.tuples(st.just("replay")),
)


def _write(spool: JsonlSpool, record: tuple[Any, ...], file: Path) -> None:
    kind, *rest = record
    if kind == "metrics":
        spool.log_metrics("r", rest[0], 10 + rest[1])
    elif kind == "params":
        spool.log_params("r", rest[0])
    elif kind == "tags":
        spool.set_tags("r", rest[0])
    elif kind == "start":
        spool.start_run("r", name="another name", kind="trial", tags=rest[0])
        spool.log_file("r", file, "folder")
    else:
        spool.end_run("r", rest[0])


def _stored(store: Store, experiment_id: str) -> list[dict[str, Any]]:
    """Everything that MLflow tells of the runs of an experiment, without what is made up."""
    client = connect(store.uri)
    out = []
    for run in client.search_runs([experiment_id]):
        info, data = run.info, run.data
        tags = {k: v for k, v in data.tags.items() if k != "mlflow.parentRunId"}
        points = {
            name: sorted((m.step, m.timestamp, repr(m.value)) for m in client.get_metric_history(info.run_id, name))
            for name in data.metrics
        }
        out.append(
            {
                "run": (info.run_name, info.status, info.start_time, info.lifecycle_stage, info.user_id),
                "end": info.end_time if info.status != "RUNNING" else None,  # the client cannot take one back
                "parent": "mlflow.parentRunId" in data.tags,
                "tags": tags,
                "params": data.params,
                "latest": {name: repr(value) for name, value in data.metrics.items()},
                "points": points,
                "files": sorted(f.path for f in client.list_artifacts(info.run_id, "folder")),
                "place": info.artifact_uri.endswith(f"/{info.run_id}/artifacts"),
            }
        )
    return sorted(out, key=lambda run: run["run"][0])


@settings(max_examples=12)
@given(records=st.lists(_RECORDS, max_size=12))
def test_both_ways_leave_what_mlflow_tells_alike(
    tmp_path_factory: pytest.TempPathFactory, stores: dict[str, Store], records: list[tuple[Any, ...]]
) -> None:
    found = []
    for way, store in stores.items():
        root = tmp_path_factory.mktemp("spools")
        name = root.name  # of this example's experiment
        by_database = MlflowSink(store, name, about="What is it?")
        sink = by_database if way == "database" else _sink_by_client(store, root / "elsewhere", name)
        (root / "file").write_text("x")
        parent, spool = JsonlSpool(root / "sweep.jsonl"), JsonlSpool(root / "spool.jsonl")
        clock = SimpleNamespace(time=itertools.count(10**9).__next__)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("rl_sched.tracking.spool.time", clock)
            parent.start_run("p", name="parent", kind="sweep")
            spool.start_run("r", name="the run", kind="trial", parent="p", tags={"t": "first", "mlflow.user": "me"})
            for record in records:
                if record == ("replay",):
                    sink.sync([parent.path, spool.path])
                else:
                    _write(spool, record, root / "file")
        sink.sync([parent.path, spool.path])
        assert isinstance(sink._writer, DatabaseWriter if way == "database" else ClientWriter)
        found.append(_stored(store, sink.experiment_id))
        assert connect(store.uri).get_experiment(sink.experiment_id).tags["mlflow.note.content"] == "What is it?"
    assert len(found[0]) == 2 and found[0] == found[1]


def test_files_and_folders_arrive_and_later_ones_replace_them(store: Store, tmp_path: Path) -> None:
    spool = JsonlSpool(tmp_path / "spool.jsonl")
    run = spool.start_run("r", name="r", kind="trial")
    folder = tmp_path / "best"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").write_text("one")
    for text in ("one", "two"):
        (tmp_path / "table.csv").write_text(text)
        spool.log_file(run, tmp_path / "table.csv")
        spool.log_file(run, folder, "best")
        spool.log_file(run, tmp_path / "not there")
        sink = MlflowSink(store, "toy")
        sink.sync([spool.path])
    home = store.artifacts / "toy" / str(sink.run_id("r")) / "artifacts"
    assert {str(f.relative_to(home)) for f in home.rglob("*") if f.is_file()} == {"table.csv", "best/deep/file"}
    assert (home / "table.csv").read_text() == "two"


def test_a_database_of_another_schema_is_left_to_mlflow(store: Store) -> None:
    assert is_known(store.database, "toy"), f"MLflow's schema is not {SCHEMA} any more: see database_writer.py"
    assert not is_known(store.database.with_name("none.db"), "toy")
    with sqlite3.connect(store.database) as db:
        db.execute(
            "insert into experiments (name, artifact_location, lifecycle_stage) values ('far', 's3://b', 'active')"
        )
    assert not is_known(store.database, "far")
    with sqlite3.connect(store.database) as db:
        db.execute("update alembic_version set version_num = 'newer'")
    assert not is_known(store.database, "toy")


def test_a_database_that_is_replaced_meanwhile_is_filled_again(
    store: Store, tmp_path: Path, mlflow_database: Path
) -> None:
    spool = JsonlSpool(tmp_path / "spool.jsonl")
    run = spool.start_run("r", name="r", kind="trial")
    spool.log_metrics(run, {"train/a": 1.0}, 1)
    sink = MlflowSink(store, "toy")
    sink.sync([spool.path])
    store.database.unlink()
    shutil.copyfile(mlflow_database, store.database)
    spool.log_metrics(run, {"train/a": 2.0}, 2)
    sink.sync([spool.path])
    (found,) = connect(store.uri).search_runs([sink.experiment_id])
    assert len(connect(store.uri).get_metric_history(found.info.run_id, "train/a")) == 2


def test_a_write_that_fails_leaves_nothing_and_is_made_up_for(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = JsonlSpool(tmp_path / "spool.jsonl")
    spool.start_run("r", name="r", kind="trial")
    spool.log_metrics("r", {"train/a": 1.0}, 1)
    sink = MlflowSink(store, "toy")
    plain = DatabaseWriter._write

    def full(self: DatabaseWriter, db: sqlite3.Connection, change: Any) -> None:
        plain(self, db, change)
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(DatabaseWriter, "_write", full)
    with pytest.raises(sqlite3.OperationalError, match="full"):
        sink.sync([spool.path])
    assert connect(store.uri).search_runs([sink.experiment_id]) == [] and sink.run_id("r") is None
    monkeypatch.undo()
    assert sink.sync([spool.path]) == 2
    (run,) = connect(store.uri).search_runs([sink.experiment_id])
    assert run.data.metrics == {"train/a": 1.0}


def test_two_that_replay_at_once_make_each_run_once(store: Store, tmp_path: Path) -> None:
    spools = []
    for number in range(20):
        spool = JsonlSpool(tmp_path / str(number) / "spool.jsonl")
        spool.start_run(str(number), name="x", kind="trial")
        spools.append(spool.path)
    sinks = [MlflowSink(store, "toy") for _ in range(4)]
    threads = [threading.Thread(target=sink.sync, args=(spools,)) for sink in sinks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(connect(store.uri).search_runs([sinks[0].experiment_id])) == 20


class _Away:
    """A client of a server that went away after the first contact; counts who asks."""

    def __init__(self) -> None:
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            raise ConnectionError("refused")

        return call


def test_a_server_that_is_away_is_asked_once_and_not_once_a_spool(store: Store, tmp_path: Path) -> None:
    spools = []
    for number in range(20):
        spool = JsonlSpool(tmp_path / str(number) / "spool.jsonl")
        spool.start_run(str(number), name="x", kind="trial")
        spools.append(spool.path)
    sink = _sink_by_client(store, tmp_path)
    sink._writer = writer = ClientWriter(store.uri, "toy")
    writer.client = away = _Away()
    with pytest.raises(ConnectionError):
        sink.sync(spools)
    assert away.calls == 2  # the first spool, and the question whether it was that spool's own fault


def test_a_run_that_a_late_answer_made_twice_is_there_once(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rl_sched.tracking.client_writer.SLOW_S", -1.0)  # every answer is late
    spool = JsonlSpool(tmp_path / "spool.jsonl")
    spool.start_run("twice", name="twice", kind="trial")
    spool.end_run("twice", "FINISHED")
    sink = _sink_by_client(store, tmp_path)
    sink._writer = writer = ClientWriter(store.uri, "toy")
    create = writer.client.create_run

    def repeated(*args: Any, **kwargs: Any) -> Any:
        create(*args, **kwargs)  # done, but its answer came too late for the client, which asks again
        return create(*args, **kwargs)

    monkeypatch.setattr(writer.client, "create_run", repeated)
    sink.sync([spool.path])
    (run,) = writer.client.search_runs([sink.experiment_id])
    assert run.info.status == "FINISHED" and run.info.run_id == sink.run_id("twice")


def test_a_lost_note_does_not_make_a_run_twice_on_a_server(store: Store, tmp_path: Path) -> None:
    spool = JsonlSpool(tmp_path / "spool.jsonl")
    spool.start_run("r", name="r", kind="trial")
    spool.log_params("r", {f"p{number}": number for number in range(200)})
    spool.log_metrics("r", {f"train/m{number}": 1.0 for number in range(1000)}, 1)
    for _ in range(2):
        sink = _sink_by_client(store, tmp_path)
        assert sink.sync([spool.path]) == 3
        spool.path.with_suffix(".sync.json").unlink()
    (run,) = connect(store.uri).search_runs([sink.experiment_id])
    assert len(run.data.params) == 200 and len(run.data.metrics) == 1000
    assert json.loads((tmp_path / "spool.jsonl").read_text().splitlines()[0])["run"] == "r"
