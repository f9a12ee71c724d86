"""Runs a finished cell again, elsewhere, and compares every number that does not depend on the clock."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from rl_sched.errors import SweepError
from rl_sched.provenance import package_hash
from rl_sched.sweeps.ledger import Outcome, read_json, read_outcome
from rl_sched.sweeps.plan import Cell
from rl_sched.sweeps.trial import CURVE, ROWS_BEST, ROWS_LAST, judge, run_trial
from rl_sched.tracking.store import Store

#: Numbers that a clock made: sections of metrics, and columns of the VAL curve.
_CLOCK = ("time/", "seconds", "steps_per_s")


class Number(NamedTuple):
    """The name of a number."""

    kind: str
    of: str = ""  #: which of its kind

    @property
    def text(self) -> str:
        """For a reader."""
        return f"{self.kind} {self.of}".strip()


class Repeat(NamedTuple):
    """What came of it."""

    compared: int
    differences: list[tuple[str, float, float]]  #: name, stored, new: beyond the tolerance, the largest first
    largest: float  #: relative difference over everything that was compared
    notes: list[str]  #: what is not the same as it was then


def find(store: Store, run: str) -> tuple[Cell, Path]:
    """The finished cell of an id.

    Args:
        store: Where sweeps are.
        run: A cell's id, or MLflow's id of its run.

    Raises:
        SweepError: There is no such cell, it is not finished, or it belongs to a population.
    """
    folders = sorted(store.sweeps.glob("*/cells/*")) if store.sweeps.is_dir() else []
    found = [f for f in folders if f.name == run or run in _mlflow_ids(f)]
    if not found:
        raise SweepError(
            f"RUN_ID must be the id of a trial below {store.sweeps} or MLflow's id of its run; {run!r} is neither. "
            "The ids are the folders sweeps/NAME/cells/ID; --data names another data folder."
        )
    folder = next((f for f in found if read_outcome(f) is not None), found[0])
    about = read_json(folder / "cell.json")
    if about is None or read_outcome(folder) is None:
        raise SweepError(
            f"Only a finished trial can be compared; the one in {folder} is not. Continue its sweep first."
        )
    cell = Cell(**about)
    if cell.population or cell.parent is not None:
        raise SweepError(
            f"A trial that goes on from another's checkpoint cannot be run again alone; {run!r} is of a population. "
            "Run its sweep again with another --data folder."
        )
    return cell, folder


def _mlflow_ids(folder: Path) -> set[str]:
    """MLflow's ids of the runs of a cell, as the replay of its spool has written them down."""
    state = read_json(folder / "spool.sync.json") or {}
    return {str(value) for value in (state.get("runs") or {}).values()}


def repeat(
    cell: Cell, stored: Path, fresh: Path, tolerance: float, *, on_step: Callable[[int], None] = lambda step: None
) -> Repeat:
    """Trains and judges a cell again.

    Args:
        cell: What to run.
        stored: The folder of the finished cell; it is only read.
        fresh: Where the new run goes.
        tolerance: Largest relative difference that counts as equal.
        on_step: Told of progress, in environment steps.

    Raises:
        RlSchedError: The cell's settings are not ones of this version, or the training fails.
    """
    fresh.mkdir(parents=True, exist_ok=True)

    def report(step: int, metrics: Mapping[str, float]) -> None:
        on_step(step)

    before = read_outcome(stored)
    assert before is not None  # found by ``find``
    now = run_trial(cell, fresh, report)
    if cell.searched and (stored / ROWS_BEST).is_file():
        judge(cell, fresh)
    return compare(dict(_numbers(stored, before)), dict(_numbers(fresh, now)), tolerance)._replace(notes=_notes(stored))


def compare(then: Mapping[Number, float], now: Mapping[Number, float], tolerance: float) -> Repeat:
    """Number by number. One that only one run has differs, unless the other run has no number of its kind at all."""
    kinds = {n.kind for n in then} & {n.kind for n in now}
    names = [n for n in {**then, **now} if n.kind in kinds]
    pairs = {n: (then.get(n, math.nan), now.get(n, math.nan)) for n in names}
    apart = {n: _relative(*pair) if n in then and n in now else math.inf for n, pair in pairs.items()}
    beyond = sorted((n for n in names if apart[n] > tolerance), key=lambda n: -apart[n])
    return Repeat(len(names), [(n.text, *pairs[n]) for n in beyond], max(apart.values(), default=0.0), [])


def _numbers(folder: Path, outcome: Outcome) -> Iterator[tuple[Number, float]]:
    """Every number of a finished cell that does not depend on the clock."""
    yield Number("objective on VAL"), outcome.objective
    yield Number("environment steps"), float(outcome.steps)
    for file in (ROWS_BEST, ROWS_LAST):
        if (folder / file).is_file():
            for row in pd.read_csv(folder / file).to_dict("records"):
                yield Number(f"{file}: {row['metric']}", f"of workload {row['eval_seed']}"), float(row["value"])
    if (folder / CURVE).is_file():
        for row in pd.read_csv(folder / CURVE).to_dict("records"):
            for name, value in row.items():
                if not str(name).startswith(_CLOCK):
                    yield Number(f"{CURVE}: {name}", f"at step {row['steps']}"), float(value)


def _relative(then: float, now: float) -> float:
    """``|now - then| / |then|``; 0 for two nans, infinite for one."""
    if math.isnan(then) or math.isnan(now):
        return 0.0 if math.isnan(then) and math.isnan(now) else math.inf
    return abs(now - then) / abs(then) if then != 0 else abs(now)


def _notes(stored: Path) -> list[str]:
    """What is not the same as it was."""
    notes = []
    code = str((read_json(stored / "done.json") or {}).get("code", ""))
    if code != package_hash():
        notes.append(f"the trial was run by another version of the code ({code}; this is {package_hash()}).")
    known = (read_json(stored / "train" / "best" / "meta.json") or {}).get("torch")
    if known is not None and known != version("torch"):
        notes.append(f"the trial was run with torch {known}; this is {version('torch')}.")
    return notes
