"""Where the next cell of a sweep comes from. A plan without a search is a fixed list."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from rl_sched.sweeps.ledger import Ledger, Outcome
from rl_sched.sweeps.plan import Cell


class Amount(NamedTuple):
    """How far a sweep is."""

    done: int
    total: int
    unit: str  #: what is counted, in the plural
    steps_left: float  #: environment steps that have not been run, those of running cells included


class Source(Protocol):
    """Decides what runs next. Called by the driver alone, one call at a time."""

    #: Whether the sweep goes on after an exception in a trial's body.
    tolerant: bool

    def next(self) -> Cell | None:
        """The next cell to start, or None if there is none now."""

    def on_val(self, cell: Cell, step: int, value: float) -> bool:
        """Takes a point of a VAL curve; True = stop this trial, it is not worth finishing."""

    def on_done(self, cell: Cell, outcome: Outcome) -> None:
        """Takes the outcome of a finished cell."""

    def on_failed(self, cell: Cell) -> None:
        """Takes note that a cell will have no outcome."""

    def amount(self) -> Amount:
        """How far the sweep is."""


class Grid:
    """The cells of a plan without a search, in their order.

    Args:
        cells: All cells.
        ledger: Tells which are done.
    """

    finished: list[tuple[Cell, Outcome]]  #: by earlier commands
    tolerant = False

    def __init__(self, cells: Sequence[Cell], ledger: Ledger) -> None:
        unique = {cell.id: cell for cell in cells}
        outcomes = {id_: ledger.outcome(cell) for id_, cell in unique.items()}
        self._open = {id_: cell for id_, cell in unique.items() if outcomes[id_] is None}
        self.finished = [(cell, outcome) for id_, cell in unique.items() if (outcome := outcomes[id_]) is not None]
        self._waiting = deque(self._open.values())
        self._total = len(unique)
        self._failed = 0

    def next(self) -> Cell | None:
        """See ``Source``."""
        return self._waiting.popleft() if self._waiting else None

    def on_val(self, cell: Cell, step: int, value: float) -> bool:
        """See ``Source``. Arms are compared at equal budgets: none is stopped early."""
        return False

    def on_done(self, cell: Cell, outcome: Outcome) -> None:
        """See ``Source``."""
        self._open.pop(cell.id, None)

    def on_failed(self, cell: Cell) -> None:
        """See ``Source``."""
        self._open.pop(cell.id, None)
        self._failed += 1

    def amount(self) -> Amount:
        """See ``Source``."""
        steps = sum(cell.steps for cell in self._open.values())
        return Amount(self._total - len(self._open) - self._failed, self._total, "trials", steps)
