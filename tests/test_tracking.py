"""The spool is the truth; MLflow is a view of it that can be made again."""

from __future__ import annotations

import json
import shutil
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl_sched.errors import ConfigError, RlSchedError
from rl_sched.tracking.background import BackgroundSync
from rl_sched.tracking.mlflow_sink import MlflowSink
from rl_sched.tracking.newest import newest_sweep
from rl_sched.tracking.server import check_port_free
from rl_sched.tracking.spool import JsonlSpool, flatten, read_spool
from rl_sched.tracking.store import Store, connect, trials_link


def _records(path: Path) -> list[dict]:
    return [record for record, _ in read_spool(path)]


def _write_run(path: Path, key: str, parent: str | None = None, kind: str = "trial") -> JsonlSpool:
    spool = JsonlSpool(path)
    run = spool.start_run(key, name=f"run {key}", kind=kind, parent=parent, tags={"sweep": "s"})
    spool.log_params(run, {"ppo": {"lr": 0.1}, "seed": 1})
    for step in range(0, 300, 100):
        spool.log_metrics(run, {"eval/val_mean_jct_s": 100.0 - step, "train/entropy": 0.5}, step, time_s=1e9 + step)
    return spool


def test_flatten_makes_dotted_names() -> None:
    assert flatten({"a": {"b": {"c": 1}, "d": {}}, "e": None}) == {"a.b.c": 1, "a.d": {}, "e": None}


def test_repeated_steps_of_a_continued_run_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "spool.jsonl"
    _write_run(path, "a").close()
    spool = JsonlSpool(path)
    run = spool.start_run("a", name="run a", kind="trial")
    spool.log_params(run, {"ppo": {"lr": 0.2}, "new": 3})
    for step in (100, 200, 300):
        spool.log_metrics(run, {"eval/val_mean_jct_s": 7.0}, step)
    steps = [r["step"] for r in _records(path) if r["op"] == "metrics"]
    assert steps == [0, 100, 200, 300]
    assert [r["values"] for r in _records(path) if r["op"] == "params"] == [
        {"ppo.lr": "0.1", "seed": "1"},
        {"new": "3"},
    ]
    assert [r["op"] for r in _records(path) if r["op"] in ("start", "continue")] == ["start", "continue"]


@given(cut=st.integers(min_value=0, max_value=400), garbage=st.binary(max_size=20))
def test_a_torn_tail_is_cut_off_and_never_read(
    tmp_path_factory: pytest.TempPathFactory, cut: int, garbage: bytes
) -> None:
    path = tmp_path_factory.mktemp("spool") / "spool.jsonl"
    _write_run(path, "a").close()
    whole = path.read_bytes()
    kept = whole[: max(len(whole) - cut, 0)]
    path.write_bytes(kept + garbage.replace(b"\n", b""))
    before = _records(path)
    spool = JsonlSpool(path)
    spool.start_run("b", name="b", kind="trial")
    after = _records(path)
    assert after[:-1] == before and after[-1]["run"] == "b"
    assert before == [json.loads(line) for line in kept.split(b"\n")[:-1]]


def test_paths_below_the_spool_are_stored_relative(tmp_path: Path) -> None:
    (tmp_path / "cell").mkdir()
    (tmp_path / "cell" / "x.txt").write_text("x")
    spool = JsonlSpool(tmp_path / "cell" / "spool.jsonl")
    spool.log_file("a", tmp_path / "cell" / "x.txt")
    spool.log_file("a", tmp_path / "other.txt")
    assert [r["path"] for r in _records(spool.path)] == ["x.txt", str(tmp_path / "other.txt")]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, mlflow_database: Path) -> Store:
    """One database for all tests of this file."""
    made = Store(tmp_path_factory.mktemp("data"))
    shutil.copyfile(mlflow_database, made.database)
    return made


def _runs(sink: MlflowSink, store: Store) -> dict:
    runs = connect(store.uri).search_runs([sink.experiment_id])
    return {run.info.run_name: run for run in runs}


def test_replaying_is_idempotent(store: Store, tmp_path: Path) -> None:
    parent, child = tmp_path / "sweep.jsonl", tmp_path / "cell" / "spool.jsonl"
    _write_run(parent, "P", kind="sweep").close()
    spool = _write_run(child, "C", parent="P")
    (tmp_path / "cell" / "best.txt").write_text("weights")
    spool.log_file("C", tmp_path / "cell" / "best.txt", "best")
    sink = MlflowSink(store, "idempotent")
    assert sink.sync([parent, child]) > 0
    assert sink.sync([parent, child]) == 0
    assert _runs(sink, store)["run C"].info.status == "RUNNING"

    # More arrives, and another process replays it.
    spool.log_metrics("C", {"report/mean_jct_s": 5.0}, 300)
    spool.end_run("C", "FAILED")
    again = MlflowSink(store, "idempotent")
    assert again.sync([parent, child]) == 2
    # The note of what is replayed was lost, as after a crash or a move of the folder.
    for state in (parent.with_suffix(".sync.json"), child.with_suffix(".sync.json")):
        state.unlink()
    third = MlflowSink(store, "idempotent")
    third.sync([parent, child])

    runs = _runs(third, store)
    assert sorted(runs) == ["run C", "run P"]
    run = runs["run C"]
    assert run.info.status == "FAILED"
    assert run.data.tags["mlflow.parentRunId"] == runs["run P"].info.run_id and run.data.tags["kind"] == "trial"
    assert run.data.params == {"ppo.lr": "0.1", "seed": "1"}
    assert run.data.metrics["report/mean_jct_s"] == 5.0
    curve = connect(store.uri).get_metric_history(run.info.run_id, "eval/val_mean_jct_s")
    assert [(m.step, m.value, m.timestamp) for m in curve] == [
        (s, 100.0 - s, int(1e12) + 1000 * s) for s in (0, 100, 200)
    ]
    files = [f.path for f in connect(store.uri).list_artifacts(run.info.run_id, "best")]
    assert files == ["best/best.txt"]


def test_a_continued_run_is_the_same_run(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "spool.jsonl"
    spool = _write_run(path, "K")
    spool.end_run("K", "KILLED")
    sink = MlflowSink(store, "continued")
    sink.sync([path])
    assert _runs(sink, store)["run K"].info.status == "KILLED"
    spool.start_run("K", name="run K", kind="trial", tags={"outcome": "running"})
    sink.sync([path])
    assert _runs(sink, store)["run K"].info.status == "RUNNING"
    spool.end_run("K", "FINISHED")
    sink.sync([path])
    runs = _runs(sink, store)
    assert len(runs) == 1 and runs["run K"].info.status == "FINISHED"


def test_a_deleted_store_is_filled_again(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "spool.jsonl"
    _write_run(path, "D").close()
    MlflowSink(store, "first").sync([path])
    state = json.loads(path.with_suffix(".sync.json").read_text())
    state["runs"]["D"] = "0" * 32  # a run that the store does not know
    path.with_suffix(".sync.json").write_text(json.dumps(state))
    sink = MlflowSink(store, "second")
    assert sink.sync([path]) > 0
    assert _runs(sink, store)["run D"].data.metrics["train/entropy"] == 0.5


def test_one_bad_spool_does_not_hold_up_the_others(store: Store, tmp_path: Path) -> None:
    bad, good = tmp_path / "bad.jsonl", tmp_path / "good.jsonl"
    bad.write_text(json.dumps({"op": "metrics", "run": "nobody", "step": 1, "values": {"x": 1}, "time_s": 1}) + "\n")
    _write_run(good, "G").close()
    sink = MlflowSink(store, "bad")
    with pytest.raises(KeyError):
        sink.sync([bad, good])
    assert "run G" in _runs(sink, store)


def test_newest_sweep_is_found(store: Store, tmp_path: Path) -> None:
    parent = JsonlSpool(tmp_path / "sweep.jsonl")
    parent.start_run("N", name="newest", kind="sweep", tags={"sweep": "n-1"})
    child = JsonlSpool(tmp_path / "spool.jsonl")
    child.start_run("T", name="t", kind="trial", parent="N", tags={"sweep": "n-1"})
    sink = MlflowSink(store, "newest")
    sink.sync([parent.path, child.path])
    found = newest_sweep(store)
    assert found is not None and found[1:] == ("newest", "n-1", 1)
    assert found.experiment_id == sink.experiment_id


def test_unwritable_store_is_one_sentence(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(RlSchedError, match="must be writable"):
        Store(blocked / "data").ensure()


def test_link_opens_on_the_charts_of_the_trials() -> None:
    link = trials_link("http://127.0.0.1:5000", "7", "abl-1", "eval/val_mean_jct_s")
    assert link == (
        "http://127.0.0.1:5000/#/experiments/7/runs?workflowType=machine_learning&compareRunsMode=CHART"
        "&searchFilter=tags.kind%3D%27trial%27%20and%20tags.sweep%3D%27abl-1%27"
        "&orderByKey=metrics.%60eval%2Fval_mean_jct_s%60&orderByAsc=true"
    )


def test_port_in_use_is_one_sentence() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"Port {port} .* in use .* choose another port"):
            check_port_free(port)
    with pytest.raises(ConfigError, match="between 1 and 65535"):
        check_port_free(0)


def test_background_keeps_errors_and_ends_with_a_last_call() -> None:
    calls, healthy = [], threading.Event()

    def sync() -> None:
        calls.append(time.monotonic())
        if not healthy.is_set():
            raise OSError("store is away")

    background = BackgroundSync(sync, interval_s=0.01)
    background.start()
    while background.error is None:
        time.sleep(0.005)
    assert isinstance(background.error, OSError)
    healthy.set()
    assert background.close(5.0) is True
    assert background.error is None and len(calls) >= 2
