"""The team's tracking server of mlflow/team.env: files in S3, named hosts only; a sweep's spools fill it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from dotenv import dotenv_values

from rl_sched.sweeps.ledger import Ledger
from rl_sched.sweeps.tracking import sync_all
from rl_sched.tracking import __main__ as verb
from rl_sched.tracking.spool import JsonlSpool
from rl_sched.tracking.store import URI_VARIABLE, Store, connect


def test_the_config_of_one_machine_is_what_make_mlflow_ui_serves(repository: Path, monkeypatch) -> None:
    monkeypatch.chdir(repository)
    settings = dotenv_values("mlflow/local.env")
    store = Store(Path("mlflow/data"))
    database = settings["MLFLOW_BACKEND_STORE_URI"].removeprefix("sqlite:///")
    assert Path(database).resolve() == store.database
    assert Path(settings["MLFLOW_DEFAULT_ARTIFACT_ROOT"]).resolve() == store.artifacts
    assert settings["MLFLOW_HOST"] == "127.0.0.1"


def test_every_setting_of_the_configs_is_one_that_mlflow_reads(repository: Path) -> None:
    from mlflow import environment_variables
    from mlflow.cli import server

    known = {parameter.envvar for parameter in server.params} | set(vars(environment_variables))
    for name in ("local.env", "team.env"):
        assert set(dotenv_values(repository / "mlflow" / name)) - known == set()


def test_the_team_config_holds_no_secret(repository: Path) -> None:
    settings = dotenv_values(repository / "mlflow" / "team.env")
    assert not [name for name in settings if "PASSWORD" in name or "KEY" in name or "SECRET" in name]
    user = settings["MLFLOW_BACKEND_STORE_URI"].partition("//")[2].partition("@")[0]
    assert ":" not in user


class Team(NamedTuple):
    """A running server and its object store."""

    uri: str
    s3: object


@pytest.fixture
def team(repository: Path, tmp_path: Path, mlflow_database: Path) -> Iterator[Team]:
    """The server of team.env on loopback: moto for S3, SQLite for Postgres."""
    boto3 = pytest.importorskip("boto3")
    moto = pytest.importorskip("moto.server")
    stand_in = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    stand_in.start()
    keys = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "tester", "AWS_DEFAULT_REGION": "us-east-1"}
    endpoint = "http://{}:{}".format(*stand_in.get_host_and_port())
    s3 = boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="tester", aws_secret_access_key="tester"
    )
    s3.create_bucket(Bucket="mlflow")
    shutil.copyfile(mlflow_database, tmp_path / "team.db")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    allowed = dotenv_values(repository / "mlflow" / "team.env")["MLFLOW_SERVER_ALLOWED_HOSTS"]
    changed = {
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{tmp_path}/team.db",
        "MLFLOW_S3_ENDPOINT_URL": endpoint,
        "MLFLOW_HOST": "127.0.0.1",
        "MLFLOW_PORT": str(port),
        "MLFLOW_WORKERS": "1",
        "MLFLOW_SERVER_ALLOWED_HOSTS": f"{allowed},127.0.0.1:{port}",
    }
    log = tmp_path / "server.log"
    with log.open("w") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "--env-file", str(repository / "mlflow" / "team.env"), "server"],
            env={**os.environ, **keys, **changed},
            cwd=tmp_path,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    uri = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 240
        while _status(uri, f"127.0.0.1:{port}") != 200:
            assert server.poll() is None and time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.3)
        yield Team(uri, s3)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(timeout=30)
        stand_in.stop()


def _status(uri: str, host: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(f"{uri}/", headers={"Host": host}), timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


@pytest.mark.slow
def test_a_sweep_gets_to_the_team_with_its_files_in_s3(
    team: Team, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path / "data")
    ledger = Ledger(store.sweeps / "toy")
    parent = JsonlSpool(ledger.root / "sweep.jsonl")
    parent.start_run("toy-1", name="toy", kind="sweep", tags={"sweep": "toy-1"})
    child = JsonlSpool(ledger.root / "cells" / "c" / "spool.jsonl")
    child.start_run("c", name="trial c", kind="trial", parent="toy-1", tags={"sweep": "toy-1"})
    child.log_metrics("c", {"eval/val_cost": 3.0}, 1)
    (child.path.parent / "weights.bin").write_bytes(b"weights")
    child.log_file("c", child.path.parent / "weights.bin", "best")

    # Its driver was killed: nothing has an end yet.
    monkeypatch.setenv(URI_VARIABLE, team.uri)
    assert verb.main(["sync", "--data", str(store.data_dir)]) == 0
    assert f"{team.uri} has everything" in capsys.readouterr().out
    assert not store.database.exists(), "the embedded store is not used"

    client = connect(team.uri)
    experiment = client.get_experiment_by_name("toy")
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert {name: run.info.status for name, run in runs.items()} == {"toy": "KILLED", "trial c": "KILLED"}
    trial = runs["trial c"]
    assert trial.data.metrics["eval/val_cost"] == 3.0 and trial.data.tags["outcome"] == "interrupted"
    assert trial.data.tags["mlflow.parentRunId"] == runs["toy"].info.run_id
    (stored,) = team.s3.list_objects_v2(Bucket="mlflow")["Contents"]
    assert stored["Key"].endswith("/artifacts/best/weights.bin")
    assert team.s3.get_object(Bucket="mlflow", Key=stored["Key"])["Body"].read() == b"weights"

    assert _status(team.uri, "mlflow.example.org") == 200
    assert _status(team.uri, "evil.example.com") == 403

    # The embedded store is another one, and gets everything too.
    assert sync_all(store, store.uri) == []
    assert len(connect(store.uri).search_runs(["1"])) == 2
