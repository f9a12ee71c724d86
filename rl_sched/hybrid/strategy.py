"""What a strategy is, and what it is told."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from rl_sched.hybrid.state import COLUMNS

if TYPE_CHECKING:
    from rl_sched.hybrid.presets import Preset

#: Place of each column of ``Situations.values``.
AT = {name: i for i, name in enumerate(COLUMNS)}


@dataclass(frozen=True, slots=True)
class Situations:
    """k tasks that are to be decided, and the machine as each of them finds it.

    Attributes:
        task: (k,) int64, numbers of the tasks.
        values: (k, 11), see ``state.COLUMNS``: seconds, megabytes and fractions. Waits are 0 on a machine without
            queues.
        best: (k,) the exact best fraction of each task, if it were the last one. For the oracle, and for learning
            afterwards; no other strategy may read it when it decides.
    """

    task: NDArray[np.int64]
    values: NDArray[np.float64]
    best: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.task)

    def column(self, name: str) -> NDArray[np.float64]:
        """(k,) one column of ``values``."""
        return self.values[:, AT[name]]


class Notice(NamedTuple):
    """Something that a strategy has done besides deciding."""

    decided: int  #: tasks that it had decided by then
    text: str


class Strategy(Protocol):
    """Says what fraction of a task goes to a GPU."""

    #: Most tasks that it is asked about at once, where tasks do not meet in queues.
    batch: int

    def decide(self, situations: Situations) -> NDArray[np.float64]:
        """(k,) fractions in [0, 1]; larger ones than the GPU's memory holds are cut."""

    def learn(self, situations: Situations) -> Notice | None:
        """Is called after every decision, with the best fractions; returns a notice if anything changed."""


class Learned(ABC):
    """Base of strategies that must be trained before they can decide."""

    @classmethod
    @abstractmethod
    def trained(cls, preset: Preset, seed: int, on_progress: Callable[[str], None]) -> Self:
        """A strategy that has just been trained on this seed's tasks; ``on_progress`` is told how far it is."""

    @classmethod
    @abstractmethod
    def load(cls, path: Path, preset: Preset) -> Self:
        """Reads what ``save`` wrote; nothing in the file is executed.

        Raises:
            CheckpointError: The file is missing, or is not of this version and preset.
        """

    @abstractmethod
    def save(self, path: Path) -> None:
        """Writes everything that ``load`` needs into one ``.npz``."""
