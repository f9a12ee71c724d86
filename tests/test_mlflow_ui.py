"""The user interface: one link, one sentence for each mistake, and nothing left running."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from rl_sched.sweeps.ledger import Ledger
from rl_sched.tracking.spool import JsonlSpool
from rl_sched.tracking.store import Store


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _command(data: Path, port: int) -> list[str]:
    return [sys.executable, "-m", "rl_sched.mlflow_ui", "--port", str(port), "--data", str(data)]


def _run(repository: Path, data: Path, port: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(_command(data, port), cwd=repository, capture_output=True, text=True, timeout=60)


def test_no_store_yet_is_one_sentence(repository: Path, tmp_path: Path) -> None:
    done = _run(repository, tmp_path / "data", _free_port())
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: There are no trials") and "make ablation" in done.stderr
    assert done.stderr.count("\n") == 1 and not (tmp_path / "data").exists()


def test_port_in_use_is_one_sentence(repository: Path, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = _run(repository, tmp_path, taken.getsockname()[1])
    assert done.returncode == 2 and "in use" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.slow
def test_in_the_background_it_serves_other_machines_and_the_page_may_ask_it(repository: Path, tmp_path: Path) -> None:
    data, port = tmp_path / "data", _free_port()
    # An address of this machine for which MLflow's exceptions for localhost do not hold.
    command = [*_command(data, port), "--host", "127.0.0.2", "--background"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=280)
    address = f"http://127.0.0.2:{port}"
    try:
        assert (done.returncode, done.stdout) == (0, f"MLflow: {address}/#/experiments\n"), done.stderr
        again = subprocess.run(command, cwd=repository, capture_output=True, text=True, timeout=280)
        assert (again.returncode, again.stdout) == (0, done.stdout), "one that serves already is named"
        search = f"{address}/ajax-api/2.0/mlflow/experiments/search"
        headers = {"Content-Type": "application/json", "Origin": address}
        with urllib.request.urlopen(urllib.request.Request(search, b'{"max_results": 1}', headers), timeout=10) as page:
            assert page.status == 200
    finally:
        pids = [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and _is_ours(p, data)]
        for pid in pids:
            os.kill(pid, signal.SIGINT)
    assert len(pids) == 1
    deadline = time.monotonic() + 30
    while (data / "mlflow_ui.json").exists():
        assert time.monotonic() < deadline, "it takes its announcement back"
        time.sleep(0.1)


def _is_ours(process: Path, data: Path) -> bool:
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"rl_sched.mlflow_ui" in words and str(data).encode() in words


@pytest.mark.slow
def test_link_opens_on_trials_of_which_mlflow_knew_nothing(repository: Path, tmp_path: Path) -> None:
    ledger = Ledger(Store(tmp_path / "data").sweeps / "toy")
    parent = JsonlSpool(ledger.root / "sweep.jsonl")
    parent.start_run("toy-1", name="toy", kind="sweep", tags={"sweep": "toy-1"})
    child = JsonlSpool(ledger.root / "cells" / "c" / "spool.jsonl")
    child.start_run("c", name="trial c", kind="trial", parent="toy-1", tags={"sweep": "toy-1"})
    child.log_metrics("c", {"eval/val_mean_jct_s": 3.0}, 1)
    child.end_run("c", "FINISHED")

    port = _free_port()
    server = subprocess.Popen(_command(tmp_path / "data", port), cwd=repository, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        assert server.stdout.readline() == "MLflow, 1 trials of toy (Ctrl-C ends it):\n"
        link = server.stdout.readline().strip()
        found = re.fullmatch(rf"(http://127\.0\.0\.1:{port})/#/experiments/(\d+)/runs\?(.*)", link)
        assert found is not None and "workflowType=machine_learning" in link and "compareRunsMode=CHART" in link
        with urllib.request.urlopen(found[1], timeout=10) as page:
            assert page.status == 200
        query = {"experiment_ids": [found[2]], "filter": "tags.kind='trial' and tags.sweep='toy-1'"}
        request = urllib.request.Request(
            f"{found[1]}/api/2.0/mlflow/runs/search", json.dumps(query).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            (run,) = json.load(answer)["runs"]
        assert run["info"]["run_name"] == "trial c" and run["info"]["status"] == "FINISHED"
    finally:
        os.kill(server.pid, signal.SIGINT)
    assert server.wait(timeout=30) == 0
    with socket.socket() as probe:
        deadline = time.monotonic() + 5
        while probe.connect_ex(("127.0.0.1", port)) == 0:
            assert time.monotonic() < deadline, "the server must end with the command"
            time.sleep(0.1)
