"""What a sweep will take: time, CPU-hours and disk, from its finished trials or from a short pilot."""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rl_sched.sweeps.cell import Cell
from rl_sched.sweeps.ledger import Ledger
from rl_sched.sweeps.limits import size_of
from rl_sched.sweeps.plan import Plan, merge
from rl_sched.sweeps.worker import load_body

#: Start of Ray and of the first workers.
START_S = 20.0
#: Disk of one finished trial where nothing was measured: checkpoints, rows, spool, and their copies in MLflow.
TRIAL_MB = 2.0
#: Steps of a pilot for each environment, and how many kinds of trials are tried.
PILOT_STEPS, MAX_PILOTS = 192, 4


class Pace(NamedTuple):
    """How fast one kind of trial is."""

    steps_per_s: float
    cpu_share: float  #: CPU seconds per second
    validation_s: float  #: seconds of one validation; 0 where the steps per second hold it already
    megabytes: float  #: that a trial leaves


class Forecast(NamedTuple):
    """What is to be expected."""

    trials: float
    steps: float
    wall_s: float
    cpu_s: float
    megabytes: float
    source: str  #: where the figures come from


def kind_of(cell: Cell) -> tuple[str, ...]:
    """What decides how fast a trial is, roughly."""
    network = cell.experiment["network"]
    return (cell.scenario, cell.experiment["algo"], network["name"], str(network["hidden"]))


def forecast(
    plan: Plan, cells: Sequence[tuple[Cell, float]], done: Sequence[Cell], ledger: Ledger, body: str | None
) -> Forecast:
    """The cost of what is left.

    Args:
        plan: The plan.
        cells: Cells that are left, each with how many of its kind there will be.
        done: Finished cells, whose measurements are used if there are any.
        ledger: The sweep's folder.
        body: Of a pilot as ``module:function``; None = no pilot, the plan's guess.
    """
    trials = sum(count for _, count in cells)
    steps = sum(count * cell.steps for cell, count in cells)
    if not trials:
        return Forecast(0, 0, 0, 0, 0, "nothing is left")
    paces, source = _paces(plan, cells, done, ledger, body)
    rest = _mean(list(paces.values()))
    wall_s = cpu_s = megabytes = 0.0
    for cell, count in cells:
        pace = paces.get(kind_of(cell), rest)
        train = cell.experiment["train"]
        plays = cell.steps / train["val_every"] + 2.0 * cell.report_episodes / train["val_episodes"]
        seconds = cell.steps / pace.steps_per_s + pace.validation_s * plays
        wall_s += count * seconds / plan.max_concurrent
        cpu_s += count * seconds * pace.cpu_share
        megabytes += count * pace.megabytes
    return Forecast(trials, steps, wall_s + START_S, cpu_s, megabytes, source)


def _paces(
    plan: Plan, cells: Sequence[tuple[Cell, float]], done: Sequence[Cell], ledger: Ledger, body: str | None
) -> tuple[Mapping[tuple[str, ...], Pace], str]:
    measured: dict[tuple[str, ...], list[Pace]] = {}
    for cell in done:
        outcome = ledger.outcome(cell)
        if outcome is not None and outcome.seconds > 0:
            share = min(outcome.cpu_s / outcome.seconds, 1.0) or 1.0
            pace = Pace(outcome.steps / outcome.seconds, share, 0.0, 2 * size_of(ledger.folder(cell)) / 1e6)
            measured.setdefault(kind_of(cell), []).append(pace)
    if measured:
        return {kind: _mean(paces) for kind, paces in measured.items()}, "measured in this sweep"
    kinds: dict[tuple[str, ...], Cell] = {}
    for cell, _ in cells:
        kinds.setdefault(kind_of(cell), cell)
    if body is None:
        return {kind: Pace(plan.budget.steps_per_s, 1.0, 0.0, TRIAL_MB) for kind in kinds}, "the plan's guess"
    tried = dict(list(kinds.items())[:MAX_PILOTS])
    others = f", the other {len(kinds) - len(tried)} kinds taken as their mean" if len(kinds) > len(tried) else ""
    source = f"from a pilot of {len(tried)} short {'run' if len(tried) == 1 else 'runs'} on this machine{others}"
    return {kind: pilot(cell, body) for kind, cell in tried.items()}, source


def pilot(cell: Cell, body: str, clock: Callable[[], float] = time.monotonic) -> Pace:
    """Trains a cell for a moment in a folder that is thrown away, and takes its pace; REPORT is not opened.

    Args:
        cell: Of this kind.
        body: The trial's body as ``module:function``.
        clock: Seconds.
    """
    train = cell.experiment["train"]
    steps = min(int(train["steps"]), PILOT_STEPS * train["num_envs"])
    short = {
        "train": {"steps": steps, "val_every": steps + 1, "checkpoint_every": steps + 1},
        "replay": {"starts": min(cell.experiment["replay"]["starts"], train["num_envs"])},
    }
    # Searched cells are not judged on REPORT.
    one = dataclasses.replace(
        cell, experiment=merge(cell.experiment, short), searched={"pilot": True}, goals=(), population={}, until=None
    )
    marks: list[tuple[float, float, int]] = []

    def report(step: int, metrics: Mapping[str, float]) -> None:
        marks.append((clock(), time.process_time(), step))

    begin = (clock(), time.process_time(), 0)
    with tempfile.TemporaryDirectory(prefix="rl_sched_pilot_") as name:
        outcome = load_body(body)(one, Path(name), report)
        kept = size_of(Path(name)) + sum(_bytes_of(Path(name) / file) for file in outcome.files)
    # The first update compiles, the last one is followed by a validation.
    first, last = (marks[0], marks[-2]) if len(marks) > 2 else (begin, marks[-1] if marks else (clock(), 0.0, steps))
    seconds = max(last[0] - first[0], 1e-6)
    speed = max(last[2] - first[2], 1) / seconds
    cpu_share = min(max((last[1] - first[1]) / seconds, 0.01), 1.0)
    validation_s = 0.0
    if len(marks) > 2:
        validation_s = max(marks[-1][0] - last[0] - (marks[-1][2] - last[2]) / speed, 0.0)
    return Pace(speed, cpu_share, validation_s, kept / 1e6)


def _bytes_of(path: Path) -> float:
    return size_of(path) if path.is_dir() else float(path.stat().st_size) if path.is_file() else 0.0


def _mean(paces: Sequence[Pace]) -> Pace:
    """Time per step, not steps per time, is what adds up."""
    columns = list(zip(*paces, strict=True))
    return Pace(statistics.harmonic_mean(columns[0]), *(statistics.fmean(column) for column in columns[1:]))
