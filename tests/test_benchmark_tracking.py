"""The benchmark of tracking, small: what it counts is what was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import tracking
from rl_sched.errors import ConfigError
from rl_sched.tracking.mlflow_sink import MlflowSink
from rl_sched.tracking.spool import JsonlSpool
from rl_sched.tracking.store import Store


def test_a_report_of_150_scalars_is_measured(tmp_path: Path) -> None:
    cpu, mean, tail = tracking.scalars(tmp_path, num_reports=50)
    assert cpu["peer"] == tracking.REPORT_MS and cpu["ours"] > 0
    assert mean["ours"] <= tail["ours"] and mean["ratio"] == pytest.approx(mean["ours"] / 2)


def test_missing_metrics_are_counted(tmp_path: Path, mlflow_database: Path) -> None:
    store = Store(tmp_path / "data")
    store.data_dir.mkdir()
    store.database.write_bytes(mlflow_database.read_bytes())
    spool = JsonlSpool(tmp_path / "spool.jsonl")
    run = spool.start_run("r", name="r", kind="trial")
    spool.log_metrics(run, {"train/a": 1.0, "train/b": 2.0}, 1)
    MlflowSink(store, "x").sync([spool.path])
    assert tracking._missing(store, [spool.path]) == (0, 2)
    spool.log_metrics(run, {"train/a": 3.0}, 2)
    assert tracking._missing(store, [spool.path]) == (1, 3)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="--only must be one of scalars, writers, away; it is 'scalar'"):
        tracking.main(["--only", "scalar"])
