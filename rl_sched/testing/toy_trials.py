"""Bodies of trials that learn nothing, take milliseconds and misbehave on purpose: for tests of sweeps.

All of them count what they execute in ``executed.txt`` (one line an iteration) and keep a checkpoint, as real trials
do, so that a test can tell repeated work from continued work.
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
import signal
import time
from pathlib import Path
from typing import Any

import pandas as pd

from rl_sched.evaluation.scores import COLUMNS
from rl_sched.scenarios import SCENARIOS
from rl_sched.sweeps.ledger import Outcome, read_json, write_json
from rl_sched.sweeps.plan import Cell
from rl_sched.sweeps.trial import CURVE, ROWS_BEST, ROWS_LAST
from rl_sched.sweeps.worker import VAL_METRIC, Report

#: Seconds of one iteration.
SLEEP_S = float(os.environ.get("RL_SCHED_TOY_SLEEP_S", "0.005"))


def quality(cell: Cell) -> float:
    """The objective at the end of a cell: a smooth function of the learning rate, plus the luck of arm and seed."""
    luck = int(hashlib.sha256(f"{cell.arm}{cell.seed}".encode()).hexdigest()[:4], 16) / 65536
    return 100.0 + 50.0 * abs(math.log10(cell.experiment["ppo"]["lr"] / 1e-3)) + luck


def steady(cell: Cell, folder: Path, report: Report) -> Outcome:
    """Improves geometrically to ``quality(cell)``; continues from its checkpoint."""
    settings = cell.experiment["train"]
    done = int((read_json(folder / "checkpoint.json") or {"steps": 0})["steps"])
    value = math.inf
    while done < cell.steps:
        time.sleep(SLEEP_S)
        before, done = done, min(done + settings["num_envs"], cell.steps)
        with (folder / "executed.txt").open("a") as file:
            file.write(f"{done}\n")
        metrics = {"train/entropy": 1.0 - done / cell.steps}
        value = quality(cell) * (1.0 + math.exp(-5.0 * done / cell.steps))
        if before // settings["val_every"] < done // settings["val_every"]:
            metrics[VAL_METRIC] = value
        if before // settings["checkpoint_every"] < done // settings["checkpoint_every"]:
            write_json(folder / "checkpoint.json", {"steps": done})
        report(done, metrics)
    value = quality(cell) * (1.0 + math.exp(-5.0))
    write_json(folder / "best.json", {"quality": value})
    _write_results(cell, folder, value)
    return Outcome(value, {"report/mean_jct_s": value + 1.0}, cell.steps, 1.0, "best.json", ("best.json", ROWS_BEST))


def sleeper(cell: Cell, folder: Path, report: Report) -> Outcome:
    """Sleeps a millisecond for each step, and reports at every VAL point: a worker that needs no CPU."""
    seconds = cell.steps / 1000
    begin_s = time.monotonic()
    for step in range(cell.experiment["train"]["val_every"], cell.steps + 1, cell.experiment["train"]["val_every"]):
        # To a moment, not for a while: what reports take is the platform's time only at the end.
        time.sleep(max(begin_s + step / 1000 - time.monotonic(), 0.0))
        report(step, {VAL_METRIC: quality(cell)})
    return Outcome(quality(cell), {}, cell.steps, seconds)


def _write_results(cell: Cell, folder: Path, value: float) -> None:
    """The files from which a sweep's report is made."""
    seeds = SCENARIOS.create(cell.scenario).seeds.report[: cell.report_episodes]
    scores = [
        (cell.arm, cell.scenario, cell.seed, seed, metric, amount)
        for seed in seeds
        for metric, amount in (("mean_jct_s", value + seed % 7), ("num_unfinished", 0.0))
    ]
    table = pd.DataFrame(scores, columns=list(COLUMNS))
    for file in (ROWS_BEST, ROWS_LAST):
        table.to_csv(folder / file, index=False)
    curve = pd.DataFrame({"steps": [cell.steps], "seconds": [1.0], "val_score": [value]})
    curve.to_csv(folder / CURVE, index=False)


def member(cell: Cell, folder: Path, report: Report) -> Outcome:
    """A member of a population, or its result: continues from its parent's checkpoint."""
    if cell.parent is not None and not (folder / "checkpoint.json").exists():
        parent = folder.parent / cell.parent
        # A parent that ended between two checkpoints has its last steps in its outcome.
        outcome = read_json(parent / "done.json") or {}
        write_json(folder / "checkpoint.json", {"steps": outcome["outcome"]["steps"]})
    return steady(cell, folder, report)


def no_room(cell: Cell, folder: Path, report: Report) -> Outcome:
    """In seed 2, cannot write its checkpoint, as on a full disk, while the file ``full`` lies in the sweep's folder."""
    if cell.seed == 2 and (folder.parents[1] / "full").exists():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / "checkpoint.json"))
    return steady(cell, folder, report)


def not_finite_once(cell: Cell, folder: Path, report: Report) -> Outcome:
    """In seed 1, computes nan in the first attempt; in seed 2, in every one."""
    first = not (folder / "attempted").exists()
    (folder / "attempted").touch()
    if cell.seed == 2 or (cell.seed == 1 and first):
        raise FloatingPointError("The policy's loss must be finite; it is nan.")
    return steady(cell, folder, report)


def idle(cell: Cell, folder: Path, report: Report) -> Outcome:
    """Does nothing, to measure what the platform costs."""
    return Outcome(quality(cell), {"report/mean_jct_s": 1.0}, cell.steps, 1.0)


def logging(cell: Cell, folder: Path, report: Report) -> Outcome:
    """Reports 150 scalars ten times; its CPU milliseconds per report are in its metrics."""
    names = [f"train/scalar_{i}" for i in range(148)]
    begin_s = time.process_time()
    for step in range(10):
        report((step + 1) * cell.steps // 10, {VAL_METRIC: 1.0 / (step + 1), **dict.fromkeys(names, float(step))})
    used_ms = 1e3 * (time.process_time() - begin_s) / 10
    return Outcome(quality(cell), {"time/report_cpu_ms": used_ms}, cell.steps, 1.0)


def broken(cell: Cell, folder: Path, report: Report) -> Outcome:
    """Raises, as a mistake in a setting does."""
    raise ValueError(f"learning rate {cell.experiment['ppo']['lr']} is not to my taste")


def broken_when_high(cell: Cell, folder: Path, report: Report) -> Outcome:
    """Raises for learning rates above 1e-2."""
    return broken(cell, folder, report) if cell.experiment["ppo"]["lr"] > 1e-2 else steady(cell, folder, report)


def _die_after(iterations: int, folder: Path, report: Report) -> Report:
    count = 0

    def report_and_die(step: int, metrics: Any) -> None:
        nonlocal count
        report(step, metrics)
        count += 1
        if count == iterations:
            os.kill(os.getpid(), signal.SIGKILL)

    return report_and_die


def dies_once(cell: Cell, folder: Path, report: Report) -> Outcome:
    """In seed 1, kills its own process at its fifth iteration of the first attempt."""
    first = not (folder / "attempted").exists()
    (folder / "attempted").touch()
    return steady(cell, folder, _die_after(5, folder, report) if first and cell.seed == 1 else report)


def dies_always(cell: Cell, folder: Path, report: Report) -> Outcome:
    """In seed 1, kills its own process at once in every attempt."""
    return steady(cell, folder, _die_after(1, folder, report) if cell.seed == 1 else report)
