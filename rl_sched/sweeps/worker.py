"""What runs in a worker process: one cell, from its newest checkpoint to its outcome.

The body of a trial is a function ``body(cell, folder, report) -> Outcome`` named by its dotted path. Around it, this
module keeps the spool, the ledger and Tune informed, and turns every end of a trial into the right mark on disk.
"""

from __future__ import annotations

import functools
import importlib
import os
import platform
import random
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from rl_sched.config import to_dict
from rl_sched.errors import ConfigError
from rl_sched.provenance import package_hash
from rl_sched.rl.runtime import give_back_freed_memory
from rl_sched.scenarios import SCENARIOS
from rl_sched.sweeps.cell import Cell, arm_run
from rl_sched.sweeps.failures import Failure, cause_of, is_full_disk
from rl_sched.sweeps.ledger import Ledger, Outcome, read_json, read_outcome, write_json, write_outcome
from rl_sched.sweeps.nodes import check_code
from rl_sched.tracking.environment import who
from rl_sched.tracking.spool import JsonlSpool

#: The body of a real trial.
DEFAULT_BODY = "rl_sched.sweeps.trial:run_trial"
#: Name of the VAL curve, of which the trial's cost is the best point (``objectives``: less is better).
VAL_METRIC = "eval/val_cost"
#: What a worker tells the driver when it cannot write.
DISK_FULL = "disk_full"
#: Points of a training curve that are kept; VAL points are all kept.
CURVE_POINTS = 50
#: Shortest time between two reports to the driver, except for VAL points.
REPORT_EVERY_S = 1.0


#: Description of a finished trial's run.
_NOTE = (
    "{}. `eval/` are its validations while it trained, `report/` its best checkpoint on REPORT workloads. "
    "Run it again and compare: `python -m rl_sched.reproduce {}`."
)


class Report(Protocol):
    """What a body calls while it runs.

    Args:
        step: Environment steps done.
        metrics: ``eval/...``, ``train/...`` and ``time/...`` with units in their names; ``eval/val_cost`` only
            when it is new.

    If the trial has to stop, ``SystemExit`` is raised inside: let it pass.
    """

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None: ...


Body = Callable[[Cell, Path, Report], Outcome]


def load_body(name: str) -> Body:
    """The function behind ``module:function``."""
    module, _, function = name.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"The trial body must be an importable module:function; {name!r} is not: {error}.") from error


class Reporter:
    """Writes to the spool what is worth keeping, and tells the driver what it shows.

    Args:
        spool: The trial's spool.
        run: Key of the trial's run in it.
        total_steps: Environment steps of the whole trial.
        tell: Sends a flat dict to the driver; raises ``SystemExit`` if the trial has to stop.
    """

    def __init__(self, spool: JsonlSpool, run: str, total_steps: int, tell: Callable[[dict[str, float]], None]) -> None:
        self._spool, self._run, self._tell = spool, run, tell
        self._stride = max(total_steps // CURVE_POINTS, 1)
        self._bucket = -1
        self._told_s = 0.0

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None:
        """See ``Report``."""
        is_val = VAL_METRIC in metrics
        if is_val or step // self._stride > self._bucket:
            self._bucket = step // self._stride
            self._spool.log_metrics(self._run, metrics, step)
        now_s = time.monotonic()
        if is_val or now_s - self._told_s >= REPORT_EVERY_S:
            self._told_s = now_s
            news = {"steps": float(step)}
            if is_val:
                news["val"] = float(metrics[VAL_METRIC])
            self._tell(news)


def run_cell(cell: Cell, folder: Path, body: str, sweep: str, tell: Callable[[dict[str, float]], None]) -> None:
    """Runs a cell to its end, whatever that is, and leaves the mark of that end in its folder.

    Args:
        cell: What to run.
        folder: The cell's folder.
        body: The trial's body as ``module:function``.
        sweep: Key of the sweep's run.
        tell: See ``Reporter``.
    """
    if read_outcome(folder) is not None:
        return
    try:
        _run_open_cell(cell, folder, body, sweep, tell)
    except Exception as error:
        if not is_full_disk(error):
            raise
        # No mark: nothing is wrong with the cell, and there is no room for one.
        tell({DISK_FULL: 1.0})


def _run_open_cell(cell: Cell, folder: Path, body: str, sweep: str, tell: Callable[[dict[str, float]], None]) -> None:
    (folder / "failed.json").unlink(missing_ok=True)
    spool = JsonlSpool(folder / "spool.jsonl")
    tags = {"sweep": sweep, "arm": cell.arm, "scenario": cell.scenario, "seed": str(cell.seed), "code": package_hash()}
    tags |= {"host": platform.node(), **who()}
    parent = arm_run(sweep, cell.arm, cell.scenario)
    run = spool.start_run(cell.id, name=cell.title, kind="trial", parent=parent, tags={**tags, "outcome": "running"})
    spool.log_params(run, {**cell.experiment, "arm": cell.arm, "report_episodes": cell.report_episodes})
    begin_cpu_s = time.process_time()
    try:
        check_code()
        spool.set_tags(run, {"trace": _trace_hash(cell.scenario)})
        function = load_body(body)
        _fresh_state(cell.seed)
        outcome = function(cell, folder, Reporter(spool, run, cell.steps, tell))
        spool.log_metrics(run, outcome.metrics, outcome.steps)
        for name in outcome.files:
            spool.log_file(run, folder / name, "" if (folder / name).is_file() else Path(name).name)
        spool.set_tags(run, {"outcome": "done", "mlflow.note.content": _NOTE.format(cell.title, cell.id)})
        spool.end_run(run, "FINISHED")
        cpu_s = _add_cpu(folder, time.process_time() - begin_cpu_s)
        # Before the driver is told: from here on the cell is never run again.
        write_outcome(folder, replace(outcome, cpu_s=cpu_s))
    except Exception as error:
        if is_full_disk(error):
            raise
        failure = Failure(type(error).__name__, str(error), traceback.format_exc(), cause_of(error))
        write_json(folder / "failed.json", to_dict(failure))
        spool.set_tags(run, {"outcome": "failed", "mlflow.note.content": f"```\n{failure.traceback}\n```"})
        spool.end_run(run, "FAILED")
    except SystemExit:
        # Tune's way to stop a trial from outside.
        spool.set_tags(run, {"outcome": "pruned" if (folder / "stopped.json").is_file() else "interrupted"})
        spool.end_run(run, "KILLED")
        _add_cpu(folder, time.process_time() - begin_cpu_s)
        raise
    finally:
        spool.close()


@functools.cache
def _trace_hash(scenario: str) -> str:
    """Once a process: a log takes seconds to read."""
    return SCENARIOS.create(scenario).trace_hash()


def _add_cpu(folder: Path, cpu_s: float) -> float:
    """Adds to the CPU seconds of a cell over its restarts; what a killed process used is not known."""
    total = cpu_s + float((read_json(folder / "cpu.json") or {"cpu_s": 0.0})["cpu_s"])
    write_json(folder / "cpu.json", {"cpu_s": total})
    return total


def _fresh_state(seed: int) -> None:
    """Undoes what an earlier trial in this process may have left behind in global state."""
    random.seed(seed)
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed(seed)
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_default_dtype(torch.float32)
        torch.set_num_threads(1)
        torch.manual_seed(seed)


def trainable(config: dict[str, Any]) -> None:
    """The function that Ray Tune runs; ``config`` is what ``Coordinator.suggest`` returned."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from ray import tune

    folder = Path(config["folder"])
    try:
        run_cell(
            Ledger.read_cell(folder),
            folder,
            config["body"],
            config["sweep"],
            lambda news: tune.report(news),
        )
    finally:
        give_back_freed_memory()
    tune.report({"final": 1.0})
