"""The budget of a whole sweep: when no trial is started any more, and when those that run are stopped."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from rl_sched.sweeps.cell import Cell
from rl_sched.sweeps.ledger import Ledger, read_json, read_outcome
from rl_sched.sweeps.settings import Budget

_GB = 1e9
#: Seconds between two looks at the room on the disk.
LOOK_EVERY_S = 2.0


class _Used(NamedTuple):
    trials: int
    steps: float
    cpu_s: float


class Limits:
    """Counts what a sweep has used, over all commands, and compares it with a budget.

    Args:
        budget: The limits.
        ledger: What earlier commands have used is read from it, if anything is limited.
        clock: Seconds, of which differences count.
    """

    def __init__(self, budget: Budget, ledger: Ledger, clock: Callable[[], float] = time.monotonic) -> None:
        self._budget, self._ledger, self._clock = budget, ledger, clock
        self._begin_s = clock()
        self._used: dict[str, _Used] = {}
        self._total = _Used(0, 0.0, 0.0)
        self._bytes = 0.0
        self._sizes: dict[str, float] = {}
        self._looked_s, self._room = float("-inf"), True
        self._counts = any(x is not None for x in (budget.trials, budget.env_steps, budget.cpu_hours, budget.disk_gb))
        if self._counts:
            for folder in sorted((ledger.root / "cells").glob("*")):
                self._count(folder)
            self._bytes = size_of(ledger.root)

    def ended(self, cell: Cell) -> None:
        """Takes note that a trial has ended, for whatever reason."""
        if self._counts:
            folder = self._ledger.folder(cell)
            self._count(folder)
            if self._budget.disk_gb is not None:
                new = size_of(folder)
                self._bytes += new - self._sizes.get(cell.id, 0.0)
                self._sizes[cell.id] = new

    def reached(self, live: list[Cell]) -> str | None:
        """Why no further trial may start beside those that run; None if one may."""
        budget = self._budget
        used = self._total
        if budget.trials is not None and used.trials + len(live) >= budget.trials:
            return f"{budget.trials:,} trials (budget.trials)"
        if budget.env_steps is not None and used.steps + sum(cell.steps for cell in live) >= budget.env_steps:
            return f"{budget.env_steps:,.0f} environment steps (budget.env_steps)"
        if budget.cpu_hours is not None and used.cpu_s >= 3600.0 * budget.cpu_hours:
            return f"{budget.cpu_hours:g} CPU-hours (budget.cpu_hours)"
        if budget.disk_gb is not None and self._bytes >= _GB * budget.disk_gb:
            return f"{budget.disk_gb:g} GB of disk (budget.disk_gb)"
        return self.expired()

    def expired(self) -> str | None:
        """Why even those that run must stop; None if they may go on."""
        hours = self._budget.wall_hours
        if hours is not None and self._clock() - self._begin_s >= 3600.0 * hours:
            return f"{hours:g} hours of this command (budget.wall_hours)"
        return None

    def disk_is_full(self) -> bool:
        """Whether less is free than has to stay free."""
        now_s = self._clock()
        if now_s - self._looked_s >= LOOK_EVERY_S:
            self._looked_s = now_s
            self._room = shutil.disk_usage(self._ledger.root).free >= _GB * self._budget.keep_free_gb
        return not self._room

    def _count(self, folder: Path) -> None:
        """Takes what a cell has used; one that was interrupted will go on and counts as a trial then."""
        outcome, stopped = read_outcome(folder), read_json(folder / "stopped.json")
        ended = outcome is not None or stopped is not None or (folder / "failed.json").is_file()
        steps = outcome.steps if outcome is not None else float((stopped or {}).get("step", 0))
        cpu_s = float((read_json(folder / "cpu.json") or {}).get("cpu_s", 0.0))
        # A cell that is tried again comes here again: only what is new counts.
        before, now = self._used.get(folder.name, _Used(0, 0.0, 0.0)), _Used(int(ended), steps, cpu_s)
        self._used[folder.name] = now
        total = self._total
        self._total = _Used(
            total.trials + now.trials - before.trials,
            total.steps + now.steps - before.steps,
            total.cpu_s + now.cpu_s - before.cpu_s,
        )


def size_of(folder: Path) -> float:
    """Bytes of all files below a folder; what disappears meanwhile does not count."""
    total = 0.0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    total += size_of(Path(entry.path)) if entry.is_dir(follow_symlinks=False) else entry.stat().st_size
                except OSError:
                    continue
    except OSError:
        return total
    return total
