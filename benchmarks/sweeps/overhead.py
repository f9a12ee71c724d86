"""Driver CPU per no-op trial: our sweep beside stock Tune without tracking, and beside stock Tune with MLflow.

Every side runs in a process of its own, two trials at a time with reused actors. Only the driver's CPU seconds count
(``time.process_time``: all its threads, none of Ray's other processes), from before the first trial to after the last.
Ours does everything a sweep does: cells and outcomes on disk, spools, and the thread that replays them into MLflow's
SQLite file, whose share is given apart. ``ours_server`` replays them into an MLflow server on this machine instead.
"""

from __future__ import annotations

import importlib
import io
import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.report import figure
from benchmarks.sweeps.options import Options, in_own_process, toy_plan

LIMIT_MS = 20.0
CONCURRENT = 2


def figures(options: Options) -> list[dict[str, Any]]:
    """Ours against the limit and both peers."""
    rows = []
    for trials in options.trials:
        (ours, replay), (stock, _) = _measure("ours", trials), _measure("stock", trials)
        name = f"driver CPU per no-op trial, {trials:,} trials"
        rows += [
            figure(name, "ms", ours, LIMIT_MS, "limit"),
            figure(f"{name}: of it replaying into MLflow", "ms", replay, ours, "all of it"),
            figure(name, "ms", ours, stock, "stock Tune without tracking"),
        ]
    trials = options.mlflow_trials
    (callback, _), (same, _) = _measure("stock_mlflow", trials), _measure("ours", trials)
    server, replay = _measure("ours_server", trials)
    name = f"driver CPU per no-op trial, {trials:,} trials"
    return [
        *rows,
        figure(name, "ms", same, callback, "stock Tune with its MLflow callback"),
        figure(f"{name}, into an MLflow server", "ms", server, LIMIT_MS, "limit"),
        figure(f"{name}, into an MLflow server: of it replaying", "ms", replay, server, "all of it"),
    ]


class Used(NamedTuple):
    """CPU seconds of a driver."""

    cpu_s: float
    replay_cpu_s: float = 0.0  #: of these, for MLflow


def _measure(side: str, trials: int) -> tuple[float, float]:
    """Milliseconds of the driver's CPU per trial, and of these for MLflow."""
    told = Used(**json.loads(in_own_process(__name__, side, str(trials)).splitlines()[-1]))
    return 1e3 * told.cpu_s / trials, 1e3 * told.replay_cpu_s / trials


def ours(trials: int, folder: Path) -> Used:
    """CPU seconds of our driver."""
    # Imports take seconds, once: ray.tune, here as for stock Tune, and mlflow, which Tune imports to look at callbacks.
    for module in ("rl_sched.sweeps.searcher", "mlflow"):
        importlib.import_module(module)
    from rl_sched.sweeps.engine import execute
    from rl_sched.sweeps.ledger import Ledger
    from rl_sched.sweeps.progress import ProgressLine
    from rl_sched.sweeps.tracking import SweepTracking
    from rl_sched.tracking.store import Store

    plan, store, ledger = toy_plan(trials, max_concurrent=CONCURRENT), Store(folder), Ledger(folder / "sweeps" / "toy")
    if store.tracking_uri == store.uri:
        store.ensure()  # its tables take seconds to make, once for ever
    with _ray(), ledger.lock():
        begin_s = time.process_time()
        tracking = SweepTracking(plan, ["default"], ledger, store)
        summary = execute(
            *(plan, ["default"], ledger, "sweep"),
            body="rl_sched.testing.toy_trials:idle",
            progress=ProgressLine(io.StringIO()),
        )
        tracking.finish("", [], "FINISHED")
        assert tracking.close() is None
        used = Used(time.process_time() - begin_s, tracking.replay_cpu_s)
    assert not summary.failures and not summary.lost
    assert all(ledger.outcome(cell) is not None for cell in plan.cells())
    return used


def ours_server(trials: int, folder: Path) -> Used:
    """The same with a server of MLflow's instead of its SQLite file; the server's own CPU does not count."""
    from benchmarks.tracking import free_port
    from rl_sched.tracking.server import UiServer
    from rl_sched.tracking.store import URI_VARIABLE, Store

    store = Store(folder / "server")
    store.ensure()
    server = UiServer(store, free_port())
    try:
        server.wait_until_ready()
        os.environ[URI_VARIABLE] = server.address
        return ours(trials, folder)
    finally:
        server.stop()


def stock(trials: int, folder: Path, with_mlflow: bool) -> Used:
    """CPU seconds of stock Tune's driver."""
    from ray import tune

    callbacks: list[Any] = []
    if with_mlflow:
        from ray.air.integrations.mlflow import MLflowLoggerCallback

        uri = f"sqlite:///{folder / 'mlflow.db'}"
        callbacks = [MLflowLoggerCallback(tracking_uri=uri, experiment_name="stock")]
    with _ray():
        tuner = tune.Tuner(
            tune.with_resources(_noop, {"CPU": 1}),
            param_space={"seed": tune.randint(0, 10**9)},
            tune_config=tune.TuneConfig(num_samples=trials, max_concurrent_trials=CONCURRENT, reuse_actors=True),
            run_config=tune.RunConfig(storage_path=str(folder), verbose=0, callbacks=callbacks),
        )
        begin_s = time.process_time()
        results = tuner.fit()
        used_s = time.process_time() - begin_s
    assert results.num_errors == 0 and len(results) == trials
    return Used(used_s)


def _noop(config: dict[str, Any]) -> None:
    from ray import tune

    tune.report({"score": 1.0})


@contextmanager
def _ray() -> Iterator[None]:
    import ray

    ray.init(
        address="local",
        num_cpus=CONCURRENT,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=10**8,
    )
    yield
    ray.shutdown()


SIDES: dict[str, Callable[[int, Path], Used]] = {
    "ours": ours,
    "ours_server": ours_server,
    "stock": lambda trials, folder: stock(trials, folder, False),
    "stock_mlflow": lambda trials, folder: stock(trials, folder, True),
}

if __name__ == "__main__":
    # Before ray.tune is imported, as the engine does.
    from rl_sched.sweeps.engine import ENVIRONMENT as _ENVIRONMENT

    os.environ.update(_ENVIRONMENT)
    if sys.argv[1].startswith("stock"):
        del os.environ["TUNE_GLOBAL_CHECKPOINT_S"]
    with tempfile.TemporaryDirectory(prefix="rl_sched_bench_") as name:
        print(json.dumps(SIDES[sys.argv[1]](int(sys.argv[2]), Path(name))._asdict()))
