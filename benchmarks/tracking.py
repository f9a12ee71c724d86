"""What tracking costs a trial, and what it loses when MLflow is away: ``python -m benchmarks.tracking [--json]``.

Three figures, each against what was asked:

- ``scalars``: the time that a report of 150 scalars takes from a trial
- ``writers``: 64 writers, each with its spools, to one MLflow server over SQLite; what the server lacks afterwards
- ``away``: a sweep whose server is stopped for 60 s in the middle, against the same sweep with a server that stays:
  what the server lacks afterwards, and the time that was lost
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.report import emit
from rl_sched.errors import ConfigError, RlSchedError
from rl_sched.provenance import checkout
from rl_sched.sweeps.ledger import Ledger
from rl_sched.tracking.background import BackgroundSync
from rl_sched.tracking.mlflow_sink import MlflowSink
from rl_sched.tracking.server import UiServer
from rl_sched.tracking.spool import JsonlSpool, read_spool
from rl_sched.tracking.store import URI_VARIABLE, Store
from rl_sched.verbs import run_verb

#: Of the figures that were asked for.
NUM_SCALARS, REPORT_MS = 150, 2.0
NUM_WRITERS = 64
AWAY_S, SLOWER_PCT = 60.0, 5.0
#: Seconds of a sweep of ``away`` apart from its start and end, and of one trial.
SWEEP_S, TRIAL_S = 150.0, 25.0

Figures = list[dict[str, Any]]


def _figure(name: str, unit: str, ours: float, at_most: float | None = None) -> dict[str, Any]:
    """A measured number beside what was asked for, if anything was."""
    ratio = ours / at_most if at_most else None
    peer_name = "at most, asked" if at_most is not None else "for information"
    return {"name": name, "unit": unit, "ours": ours, "peer": at_most, "peer_name": peer_name, "ratio": ratio}


def scalars(folder: Path, num_reports: int = 2000) -> Figures:
    """The time of ``log_metrics`` with 150 values, mean and 99th percentile."""
    spool = JsonlSpool(folder / "spool.jsonl")
    run = spool.start_run("r", name="r", kind="trial")
    values = {f"train/metric_{number}": 1.0 / (1 + number) for number in range(NUM_SCALARS)}
    walls_ms = []
    begin_cpu_s = time.process_time()
    for step in range(num_reports):
        begin_s = time.perf_counter()
        spool.log_metrics(run, values, step)
        walls_ms.append(1000 * (time.perf_counter() - begin_s))
    cpu_ms = 1000 * (time.process_time() - begin_cpu_s) / num_reports
    spool.close()
    walls_ms.sort()
    name = f"report of {NUM_SCALARS} scalars"
    return [
        _figure(f"{name}, CPU", "ms", cpu_ms, REPORT_MS),
        _figure(f"{name}, wall, mean", "ms", statistics.fmean(walls_ms), REPORT_MS),
        _figure(f"{name}, wall, 99 %", "ms", walls_ms[int(0.99 * num_reports)], REPORT_MS),
    ]


def writers(folder: Path, num_reports: int = 10, num_scalars: int = 20) -> Figures:
    """64 sinks that replay their own spools into one server at the same time, until each has nothing left."""
    store = Store(folder / "server")
    store.ensure()
    server = UiServer(store, free_port())
    try:
        server.wait_until_ready()
        begin_s = time.monotonic()
        with ThreadPoolExecutor(max_workers=NUM_WRITERS) as pool:
            paths = list(
                pool.map(
                    lambda number: _write(folder, number, server.address, num_reports, num_scalars), range(NUM_WRITERS)
                )
            )
        seconds = time.monotonic() - begin_s
    finally:
        server.stop()
    lost, sent = _missing(store, paths)
    return [
        _figure(f"{sent} metrics of {NUM_WRITERS} writers: lost", "metrics", lost, 0),
        _figure("their rate", "metrics/s", sent / seconds),
    ]


def _write(folder: Path, number: int, uri: str, num_reports: int, num_scalars: int) -> Path:
    """One writer: its trial writes while its sink replays."""
    spool = JsonlSpool(folder / f"writer{number}" / "spool.jsonl")
    run = spool.start_run(f"writer{number}", name=f"writer {number}", kind="trial")
    sink = MlflowSink(Store(spool.path.parent), "writers", uri)
    background = BackgroundSync(lambda: sink.sync([spool.path]), interval_s=1.0)
    background.start()
    for step in range(num_reports):
        spool.log_metrics(run, {f"train/m{i}": float(i + step) for i in range(num_scalars)}, step)
        time.sleep(0.1)
    spool.end_run(run, "FINISHED")
    spool.close()
    done = background.close(timeout_s=600.0)
    while not done:
        # A server that answers too late is asked again, as by the next command of a user.
        try:
            done = sink.sync([spool.path]) >= 0
        except Exception:
            time.sleep(1.0)
    return spool.path


def away(folder: Path) -> Figures:
    """The same sweep twice: with a server that stays, and with one that is away for a minute in the middle."""
    undisturbed_s, *_ = _sweep(folder / "stays", lambda server, start: None)

    def interrupt(server: _Server, started: Callable[[], bool]) -> None:
        while not started():
            time.sleep(0.2)
        time.sleep((SWEEP_S - AWAY_S) / 2)
        server.stop()
        time.sleep(AWAY_S)
        server.start()

    disturbed_s, lost, sent = _sweep(folder / "goes", interrupt)
    slower_pct = 100 * (disturbed_s / undisturbed_s - 1)
    return [
        _figure(f"server away for {AWAY_S:.0f} s: lost of {sent} metrics", "metrics", lost, 0),
        _figure("time of the sweep against one with a server that stays", "%", slower_pct, SLOWER_PCT),
        _figure("time of that one", "s", undisturbed_s),
    ]


class _Server:
    """An MLflow server that can go away and come back at the same address."""

    def __init__(self, store: Store) -> None:
        self._store, self._port = store, free_port()
        self._server: UiServer | None = None

    def start(self) -> str:
        self._server = UiServer(self._store, self._port)
        self._server.wait_until_ready()
        return self._server.address

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None


def _sweep(folder: Path, disturb: Callable[[_Server, Callable[[], bool]], None]) -> tuple[float, int, int]:
    """Runs a sweep of sleeping trials; returns its seconds, and the metrics lost and sent."""
    folder.mkdir()
    store, data = Store(folder / "server"), Store(folder / "data")
    store.ensure()
    server = _Server(store)
    address = server.start()
    iterations, slots = 100, 2
    plan = {
        "name": "away",
        "question": "Is anything lost when the server is away?",
        "base": {"train": {"steps": 10 * iterations, "num_envs": 10, "val_every": 10, "checkpoint_every": 100}},
        "arms": {"network.name": ["mlp", "cross_attention"]},
        "seeds": list(range(1, int(SWEEP_S * slots / TRIAL_S / 2) + 1)),
        "max_concurrent": slots,
        "report": {"episodes": 4, "policies": ["fifo_backfill"]},
    }
    (folder / "plan.json").write_text(json.dumps(plan))
    environment = {**os.environ, URI_VARIABLE: address, "RL_SCHED_TOY_SLEEP_S": str(TRIAL_S / iterations)}
    environment["PYTHONPATH"] = str(checkout())
    command = [sys.executable, str(checkout() / "experiments" / "ablation.py"), "--plan", str(folder / "plan.json")]
    body = ["--body", "rl_sched.testing.toy_trials:steady"]
    cells = data.sweeps / "away" / "cells"
    begin_s = time.monotonic()
    try:
        with (folder / "out.txt").open("w") as out:
            process = subprocess.Popen(
                [*command, "--data", str(data.data_dir), *body], env=environment, stdout=out, stderr=out
            )
        disturbing = threading.Thread(target=disturb, args=(server, lambda: any(cells.glob("*/executed.txt"))))
        disturbing.start()
        code = process.wait()
        seconds = time.monotonic() - begin_s
        disturbing.join()
        if code:
            raise RlSchedError(f"The sweep must end well; its exit code is {code}. See {folder / 'out.txt'}.")
    finally:
        server.stop()
    lost, sent = _missing(store, Ledger(data.sweeps / "away").spools())
    return seconds, lost, sent


def _missing(store: Store, spools: Sequence[Path]) -> tuple[int, int]:
    """How many points of the spools the server's database lacks, and how many there are."""
    with sqlite3.connect(store.database) as db:
        rows = db.execute(
            "select t.value, m.key, m.step, m.value from metrics m join tags t on t.run_uuid = m.run_uuid "
            "where t.key = 'rl_sched.run'"
        ).fetchall()
    stored = set(rows)
    sent = {
        (record["run"], name, record["step"], value)
        for path in spools
        for record, _ in read_spool(path)
        if record["op"] == "metrics"
        for name, value in record["values"].items()
    }
    return len(sent - stored), len(sent)


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


BENCHMARKS: dict[str, Callable[[Path], Figures]] = {"scalars": scalars, "writers": writers, "away": away}


def main(argv: list[str] | None = None) -> int:
    """Parses, measures, prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tracking", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--only", action="append", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}; default: all")
    args = parser.parse_args(argv)
    for name in args.only or []:
        if name not in BENCHMARKS:
            raise ConfigError(f"--only must be one of {', '.join(BENCHMARKS)}; it is {name!r}.")
    figures: Figures = []
    for name in args.only or BENCHMARKS:
        with tempfile.TemporaryDirectory(prefix="rl_sched_tracking_") as folder:
            figures += BENCHMARKS[name](Path(folder))
    emit(figures, args.json)
    return 0


if __name__ == "__main__":
    sys.exit(run_verb(main))
