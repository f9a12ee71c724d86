"""The dimensions of a search space."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any

from rl_sched.errors import ConfigError

#: How PBT changes a number: times one of these two (Jaderberg et al., 2017).
PERTURB = (0.8, 1.25)


@dataclass(frozen=True, slots=True)
class Distribution:
    """One dimension of a search space."""

    kind: str  #: float | int | categorical
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()
    points: int = 5  #: values of a float or int on the grid of the sampler ``grid``

    def check(self, path: str) -> None:
        """Raises a ``ConfigError`` that names ``path`` if the fields do not fit together."""
        if self.points < 1:
            raise ConfigError(f"{path}.points must be at least 1; it is {self.points}.")
        if self.kind == "categorical":
            if not self.choices:
                raise ConfigError(f"{path}.choices must list at least one value of a categorical.")
        elif self.kind in ("float", "int"):
            if self.low is None or self.high is None or self.low > self.high:
                raise ConfigError(f"{path} must have low <= high; it has low={self.low}, high={self.high}.")
            if self.log and self.low <= 0:
                raise ConfigError(f"{path}.low must be above 0 for log: true; it is {self.low}.")
        else:
            raise ConfigError(f"{path}.kind must be float, int or categorical; it is {self.kind!r}.")

    @property
    def bounds(self) -> tuple[float, float]:
        """The ends of a float or an int."""
        assert self.low is not None and self.high is not None  # checked when the plan was read
        return self.low, self.high

    def corners(self) -> list[Any]:
        """Values that every setting must accept: all choices, or both ends."""
        if self.kind == "categorical":
            return list(self.choices)
        return [int(end) if self.kind == "int" else end for end in dict.fromkeys(self.bounds)]

    def grid(self) -> list[Any]:
        """All choices, or at most ``points`` values from end to end, evenly apart (in the logarithm for ``log``)."""
        if self.kind == "categorical":
            return list(self.choices)
        low, high = (math.log(end) for end in self.bounds) if self.log else self.bounds
        steps = [low + (high - low) * i / max(self.points - 1, 1) for i in range(self.points)]
        values = [math.exp(step) if self.log else step for step in steps]
        values = [min(max(value, self.bounds[0]), self.bounds[1]) for value in values]
        return list(dict.fromkeys(round(value) if self.kind == "int" else value for value in values))

    def draw(self, rng: random.Random) -> Any:
        """A value at random: uniform, in the logarithm for ``log``."""
        if self.kind == "categorical":
            return rng.choice(self.choices)
        low, high = (math.log(end) for end in self.bounds) if self.log else self.bounds
        value = rng.uniform(low, high)
        return self._inside(math.exp(value) if self.log else value)

    def perturb(self, value: Any, rng: random.Random) -> Any:
        """A value near another: a number times 0.8 or 1.25, kept in its range; of choices a neighbour in the list."""
        if self.kind == "categorical":
            place = self.choices.index(value) + rng.choice((-1, 0, 1))
            return self.choices[min(max(place, 0), len(self.choices) - 1)]
        return self._inside(value * rng.choice(PERTURB))

    def describe(self) -> str:
        """For a reader: ``float, 0.0001 to 0.003, log``."""
        if self.choices:
            return f"{self.kind}, one of {list(self.choices)}"
        return f"{self.kind}, {self.low:g} to {self.high:g}{', log' if self.log else ''}"

    def _inside(self, value: float) -> float | int:
        value = min(max(value, self.bounds[0]), self.bounds[1])
        return round(value) if self.kind == "int" else value
