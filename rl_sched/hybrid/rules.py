"""Strategies that learn nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rl_sched.errors import ConfigError
from rl_sched.hybrid.strategy import Notice, Situations

_ALL_AT_ONCE = 1 << 30


class Rule:
    """Base of what learns nothing."""

    batch = _ALL_AT_ONCE

    def learn(self, situations: Situations) -> Notice | None:
        """Nothing."""
        return None


@dataclass
class RoundRobin(Rule):
    """By turns: tasks of even number one fraction, those of odd number another. (The ``hybrid`` system's offline
    script; its live engine had 0.5 and 0.)"""

    even: float = 0.5
    odd: float = 0.3

    def decide(self, situations: Situations) -> NDArray[np.float64]:
        return np.where(situations.task % 2 == 0, self.even, self.odd)


@dataclass
class Random(Rule):
    """Uniform between two fractions, drawn anew for every task.

    Args:
        low: Least fraction.
        high: Largest fraction.
        seed: Of its own stream.
    """

    low: float = 0.2
    high: float = 0.8
    seed: int = 0
    rng: np.random.Generator | np.random.RandomState = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0.0 <= self.low <= self.high <= 1.0:
            raise ConfigError(f"random needs 0 <= low <= high <= 1; low is {self.low} and high is {self.high}.")
        self.rng = np.random.default_rng(self.seed)

    def decide(self, situations: Situations) -> NDArray[np.float64]:
        return self.rng.uniform(self.low, self.high, len(situations))


class Greedy(Rule):
    """The task's intensity, whatever the machine is doing."""

    def decide(self, situations: Situations) -> NDArray[np.float64]:
        return situations.column("intensity").copy()


class CpuOnly(Rule):
    """Nothing goes to a GPU."""

    def decide(self, situations: Situations) -> NDArray[np.float64]:
        return np.zeros(len(situations))


class GpuOnly(Rule):
    """Everything that fits goes to a GPU."""

    def decide(self, situations: Situations) -> NDArray[np.float64]:
        return np.ones(len(situations))


class Oracle(Rule):
    """The fraction with which this task is done first, exactly.

    It knows the machine's state and law, but no later task: with queues it is greedy, so that other strategies may
    end up with a smaller sum of latencies.
    """

    def decide(self, situations: Situations) -> NDArray[np.float64]:
        return situations.best.copy()
