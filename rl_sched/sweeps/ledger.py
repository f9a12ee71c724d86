"""The ledger of a sweep: what is on disk decides what still has to run. No state is pickled, none is kept elsewhere.

- ``ROOT/.lock``: held by the one driver that runs this sweep
- ``ROOT/cells/ID/cell.json``: every setting of the cell
- ``ROOT/cells/ID/done.json``: its outcome, written before anyone is told: the cell never runs again
- ``ROOT/cells/ID/failed.json``: why it was given up: the cell runs again with the next command
- ``ROOT/cells/ID/stopped.json``: a search has pruned it
- ``ROOT/set_aside/ID-CODE-N``: a cell that another version of the code had finished, and that ran again
- ``ROOT/cells/ID/spool.jsonl``: everything it measured
- and what the trial's body writes: checkpoints, rows of the report
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rl_sched.config import to_dict
from rl_sched.errors import SweepError
from rl_sched.provenance import package_hash
from rl_sched.sweeps.cell import Cell
from rl_sched.sweeps.code import deciding_hash
from rl_sched.sweeps.failures import LOST as LOST
from rl_sched.sweeps.failures import Failure


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished trial returns.

    Attributes:
        objective: Cost on VAL: what configurations and checkpoints are chosen by, the smallest first (``objectives``).
        metrics: Final numbers with units in their names, e.g. ``report/mean_jct_s``.
        steps: Environment steps in all.
        seconds: Wall-clock seconds of training in all.
        checkpoint: Folder of the best checkpoint, relative to the cell's folder.
        files: Files and folders to be kept with the run, relative to the cell's folder.
        cpu_s: CPU seconds over all restarts, filled in by the worker.
    """

    objective: float
    metrics: dict[str, float] = field(default_factory=dict)
    steps: int = 0
    seconds: float = 0.0
    checkpoint: str | None = None
    files: tuple[str, ...] = ()
    cpu_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Ledger:
    """The folder of one sweep.

    Attributes:
        root: The folder.
    """

    root: Path

    def folder(self, cell: Cell) -> Path:
        """The folder of a cell."""
        return self.root / "cells" / cell.id

    def open_cell(self, cell: Cell) -> Path:
        """Creates a cell's folder and describes the cell in it; returns the folder."""
        folder = self.folder(cell)
        folder.mkdir(parents=True, exist_ok=True)
        file, about = folder / "cell.json", _text_of(cell.plain())
        # An earlier plan may have known the same cell by another arm's name.
        if not file.is_file() or file.read_text() != about:
            write_text(file, about)
        return folder

    @staticmethod
    def read_cell(folder: Path) -> Cell:
        """The cell that a folder was opened for."""
        data = read_json(folder / "cell.json")
        if data is None:
            raise SweepError(f"{folder} must hold cell.json; it does not. Remove the folder and repeat the command.")
        return Cell(**{**data, "goals": tuple(data.get("goals", ()))})

    def outcome(self, cell: Cell) -> Outcome | None:
        """What a cell returned, or None if it is not done."""
        return read_outcome(self.folder(cell))

    def failure(self, cell: Cell) -> Failure | None:
        """Why a cell failed, or None if it did not."""
        data = read_json(self.folder(cell) / "failed.json")
        return Failure(**data) if data else None

    def code_hash(self, cell: Cell) -> str:
        """Hash of the code that finished the cell; "" if it is not done."""
        return str((read_json(self.folder(cell) / "done.json") or {}).get("code", ""))

    def is_of_other_code(self, cell: Cell) -> bool:
        """Whether a finished cell was run by another version of the code that decides results (``code.py``)."""
        data = read_json(self.folder(cell) / "done.json")
        return data is not None and data.get("deciding") != deciding_hash()

    def set_aside(self, cell: Cell) -> Path:
        """Moves a cell's folder out of the way, so that the cell runs again; returns where it is now."""
        for number in itertools.count():
            target = self.root / "set_aside" / f"{cell.id}-{self.code_hash(cell)}-{number}"
            if not target.exists():
                break
        target.parent.mkdir(exist_ok=True)
        os.rename(self.folder(cell), target)
        return target

    def spools(self) -> list[Path]:
        """Where spools are or will be: the sweep's own first, as the parent of the others."""
        cells = self.root / "cells"
        # Asked every few seconds for thousands of cells: a glob looks at each of them.
        names = sorted(os.listdir(cells)) if cells.is_dir() else []
        return [self.root / "sweep.jsonl", *(Path(f"{cells}/{name}/spool.jsonl") for name in names)]

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the sweep for this process; the system lets go of it even if the process is killed.

        Raises:
            SweepError: Another process holds it, or the folder cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            handle = (self.root / ".lock").open("a+")
        except OSError as error:
            raise SweepError(f"The sweep's folder {self.root} must be writable; {error.strerror}.") from error
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                handle.seek(0)
                raise SweepError(
                    f"Only one process may run the sweep in {self.root}; process {handle.read().strip() or '?'} "
                    "runs it now. Wait for it or end it, then give the same command again."
                ) from None
            handle.truncate(0)
            handle.write(str(os.getpid()))
            handle.flush()
            yield

    def is_running(self) -> bool:
        """True if a process holds the sweep now."""
        try:
            with (self.root / ".lock").open("a") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False


def read_outcome(folder: Path) -> Outcome | None:
    """The outcome in a cell's folder, or None if it is not done."""
    data = read_json(folder / "done.json")
    if data is None:
        return None
    outcome = dict(data["outcome"])
    outcome["files"] = tuple(outcome["files"])
    return Outcome(**outcome)


def write_outcome(folder: Path, outcome: Outcome) -> None:
    """Marks a cell as done, for ever."""
    marks = {"code": package_hash(), "deciding": deciding_hash()}
    write_json(folder / "done.json", {"outcome": to_dict(outcome), **marks})


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Writes a JSON object as ``write_text`` does."""
    write_text(path, _text_of(data))


def _text_of(data: Mapping[str, Any]) -> str:
    return json.dumps(data, indent=1)


def write_text(path: Path, text: str) -> None:
    """Writes a file that is either whole or not there, also after a power cut."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        with fresh.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    except OSError:
        # On a full disk: half a file helps nobody and takes room.
        fresh.unlink(missing_ok=True)
        raise


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object, or None if there is no readable one."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None
