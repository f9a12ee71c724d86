"""Tasks that can be split between a CPU and a GPU, and the generator that makes them.

The law and the order of its draws are those of the ``hybrid`` system: a seed of the legacy ``RandomState`` stream gives
that system's tasks, value for value, so that its published totals can be reproduced. Do not tidy the draws.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rl_sched.errors import ConfigError

#: Most parents of a task.
MAX_PARENTS = 3
#: No parent in this slot.
NO_PARENT = -1

_REFERENCE_SIZE = 1000.0  # a task of this size and intensity 0.5 takes one CPU second
_SIZE_EXPONENT = 1.5
_MIN_INTENSITY = 0.05


@dataclass(frozen=True, slots=True)
class Tasks:
    """n tasks in the order of their arrival; column i belongs to task ``first + i``.

    Attributes:
        first: Number of the first task.
        size: (n,) int64, elements.
        intensity: (n,) in [0, 1], share of the work that a GPU is good at.
        memory_mb: (n,) of data that must be on the GPU if all of the task is computed there.
        arrival_s: (n,) ascending.
        duration_s: (n,) of the whole task on one CPU.
        parents: (n, 3) int64, numbers of tasks that must have finished, ``NO_PARENT`` where there is none.
    """

    first: int
    size: NDArray[np.int64]
    intensity: NDArray[np.float64]
    memory_mb: NDArray[np.float64]
    arrival_s: NDArray[np.float64]
    duration_s: NDArray[np.float64]
    parents: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.size)


@dataclass(frozen=True, slots=True)
class TaskLaw:
    """The law of tasks.

    Times between arrivals are exponential; sizes are Pareto, cut at ``max_size``; intensities are a mixture of two
    normal laws; memory follows the size, with noise; a share of the tasks waits for one to three of the tasks shortly
    before it; a task takes ``(size / 1000) ** 1.5 / (intensity + 0.5)`` seconds on a CPU.

    Raises:
        ConfigError: A number is out of range.
    """

    rate_per_s: float = 14.0
    min_size: int = 100
    max_size: int = 5000
    size_shape: float = 1.5  # of the Pareto law; at most 2 = infinite variance but for the cut
    low_intensity_prob: float = 0.3
    low_intensity: tuple[float, float] = (0.2, 0.1)  # mean and standard deviation
    high_intensity: tuple[float, float] = (0.8, 0.1)
    min_memory_mb: float = 100.0
    max_memory_mb: float = 10_000.0
    memory_noise_frac: float = 0.1  # standard deviation, of max_memory_mb
    parent_prob: float = 0.2
    parent_window: int = 50  # parents are among so many tasks before

    def __post_init__(self) -> None:
        in_range = {
            "rate_per_s": self.rate_per_s > 0,
            "min_size": self.min_size >= 1,
            "max_size": self.max_size >= self.min_size,
            "size_shape": self.size_shape > 0,
            "low_intensity_prob": 0 <= self.low_intensity_prob <= 1,
            "min_memory_mb": self.min_memory_mb > 0,
            "max_memory_mb": self.max_memory_mb >= self.min_memory_mb,
            "memory_noise_frac": self.memory_noise_frac >= 0,
            "parent_prob": 0 <= self.parent_prob <= 1,
            "parent_window": self.parent_window >= MAX_PARENTS,
        }
        for name, ok in in_range.items():
            if not ok:
                raise ConfigError(f"The law of tasks has {name} out of range: {getattr(self, name)}.")


class TaskSource(Protocol):
    """Where a machine's tasks come from."""

    def take(self, n: int) -> Tasks:
        """The next ``n`` tasks."""


class TaskStream:
    """An endless stream of tasks: the same seed gives the same tasks, however many are taken at a time.

    Args:
        law: What tasks are like.
        seed: Of the stream.
    """

    def __init__(self, law: TaskLaw, seed: int) -> None:
        self.law = law
        self.rng = np.random.RandomState(seed)
        self._count = 0
        self._now_s = 0.0

    def take(self, n: int) -> Tasks:
        """The next ``n`` tasks."""
        size, intensity, memory, arrival = (np.empty(n) for _ in range(4))
        parents = np.full((n, MAX_PARENTS), NO_PARENT, dtype=np.int64)
        first = self._count
        for i in range(n):
            arrival[i], size[i], intensity[i], memory[i] = self._draw()
            chosen = self._parents()
            parents[i, : len(chosen)] = chosen
            self._count += 1
        duration = (size / _REFERENCE_SIZE) ** _SIZE_EXPONENT / (intensity + 0.5)
        return Tasks(first, size.astype(np.int64), intensity, memory, arrival, duration, parents)

    def _draw(self) -> tuple[float, int, float, float]:
        law, rng = self.law, self.rng
        self._now_s += rng.exponential(1.0 / law.rate_per_s)
        size = min(law.max_size, int((1.0 + rng.pareto(law.size_shape)) * law.min_size))
        mean, std = law.low_intensity if rng.random_sample() < law.low_intensity_prob else law.high_intensity
        intensity = min(1.0, max(_MIN_INTENSITY, rng.normal(mean, std)))
        memory = size / law.max_size * law.max_memory_mb + rng.normal(0.0, law.memory_noise_frac * law.max_memory_mb)
        return self._now_s, size, intensity, int(min(law.max_memory_mb, max(law.min_memory_mb, memory)))

    def _parents(self) -> NDArray[np.int64] | tuple[()]:
        if self._count == 0 or self.rng.random_sample() >= self.law.parent_prob:
            return ()
        wanted = self.rng.randint(1, MAX_PARENTS + 1)
        before = np.arange(max(0, self._count - self.law.parent_window), self._count)
        return self.rng.choice(before, size=min(wanted, len(before)), replace=False)


class SharedTasks:
    """Reads a stream that others read too; every block of tasks is drawn once, by who needs it first.

    All readers must take blocks of the same sizes, in the same order.

    Args:
        stream: Where new tasks come from.
        drawn: The blocks so far, one list for all readers.
    """

    def __init__(self, stream: TaskStream, drawn: list[Tasks]) -> None:
        self._stream = stream
        self._drawn = drawn
        self._taken = 0

    def take(self, n: int) -> Tasks:
        """The next ``n`` tasks."""
        if self._taken == len(self._drawn):
            self._drawn.append(self._stream.take(n))
        self._taken += 1
        return self._drawn[self._taken - 1]
