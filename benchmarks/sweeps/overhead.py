"""Driver CPU per no-op trial: our sweep beside stock Tune without tracking, and beside stock Tune with MLflow.

Every side runs in a process of its own, two trials at a time with reused actors. Only the driver's CPU seconds count
(``time.process_time``: all its threads, none of Ray's other processes), from before the first trial to after the last.
Ours does everything a sweep does: cells and outcomes on disk, spools, and the thread that replays them into MLflow's
SQLite file; it is also measured without that thread, which can run anywhere at any time.
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
from typing import Any

from benchmarks.report import figure
from benchmarks.sweeps.options import Options, in_own_process, toy_plan

LIMIT_MS = 20.0
CONCURRENT = 2


def figures(options: Options) -> list[dict[str, Any]]:
    """Ours against the limit and both peers."""
    rows = []
    for trials in options.trials:
        ours, alone, stock = (_measure(side, trials) for side in ("ours", "ours_without_mlflow", "stock"))
        name = f"driver CPU per no-op trial, {trials:,} trials"
        rows += [
            figure(name, "ms", ours, LIMIT_MS, "limit"),
            figure(f"{name}, without replaying into MLflow", "ms", alone, stock, "stock Tune without tracking"),
            figure(f"{name}, all", "ms", ours, stock, "stock Tune without tracking"),
        ]
    callback = _measure("stock_mlflow", options.mlflow_trials)
    same = _measure("ours", options.mlflow_trials)
    name = f"driver CPU per no-op trial, {options.mlflow_trials:,} trials"
    return [*rows, figure(name, "ms", same, callback, "stock Tune with its MLflow callback")]


def _measure(side: str, trials: int) -> float:
    """Milliseconds of the driver's CPU per trial."""
    told = json.loads(in_own_process(__name__, side, str(trials)).splitlines()[-1])
    return 1e3 * told["cpu_s"] / trials


def ours(trials: int, folder: Path, with_mlflow: bool) -> float:
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
    if with_mlflow:
        store.ensure()  # its tables take seconds to make, once for ever
    with _ray(), ledger.lock():
        begin_s = time.process_time()
        tracking = SweepTracking(plan, ["default"], ledger, store) if with_mlflow else None
        summary = execute(
            *(plan, ["default"], ledger, "sweep"),
            body="rl_sched.testing.toy_trials:idle",
            progress=ProgressLine(io.StringIO()),
        )
        if tracking is not None:
            tracking.finish("", [], "FINISHED")
            tracking.close()
        used_s = time.process_time() - begin_s
    assert not summary.failures and not summary.lost
    assert all(ledger.outcome(cell) is not None for cell in plan.cells())
    return used_s


def stock(trials: int, folder: Path, with_mlflow: bool) -> float:
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
    return used_s


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


SIDES: dict[str, Callable[[int, Path], float]] = {
    "ours": lambda trials, folder: ours(trials, folder, True),
    "ours_without_mlflow": lambda trials, folder: ours(trials, folder, False),
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
        print(json.dumps({"cpu_s": SIDES[sys.argv[1]](int(sys.argv[2]), Path(name))}))
