"""The arms of a sweep from a few factors: which settings are compared with each other.

``grid`` takes every combination. The other two change one factor at a time, which costs a run per level instead of a
run per combination: ``add_one_in`` starts from the first value of every factor and gives one factor another value;
``leave_one_out`` starts from the last value of every factor (everything switched on) and takes one factor back.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rl_sched.errors import ConfigError
from rl_sched.registry import did_you_mean

Factors = Mapping[str, Sequence[Any]]
Settings = dict[str, Any]


def grid(factors: Factors) -> list[Settings]:
    """Every combination of the values, the last factor fastest."""
    return [dict(zip(factors, values, strict=True)) for values in itertools.product(*factors.values())]


def add_one_in(factors: Factors) -> list[Settings]:
    """The first values, then each other value of each factor alone."""
    first = {path: values[0] for path, values in factors.items()}
    return [first, *({**first, path: value} for path, values in factors.items() for value in values[1:])]


def leave_one_out(factors: Factors) -> list[Settings]:
    """The last values, then each earlier value of each factor alone."""
    last = {path: values[-1] for path, values in factors.items()}
    return [last, *({**last, path: value} for path, values in factors.items() for value in values[:-1])]


DESIGNS: dict[str, Callable[[Factors], list[Settings]]] = {
    "grid": grid,
    "leave_one_out": leave_one_out,
    "add_one_in": add_one_in,
}


def arms_of(design: str, factors: Factors, listed: Mapping[str, Settings]) -> dict[str, Settings]:
    """Name -> dotted settings of every arm: those of the design, then the listed ones.

    Raises:
        ConfigError: The design is unknown, or two arms have one name.
    """
    if design not in DESIGNS:
        raise ConfigError(f"design: unknown design {design!r}. {did_you_mean(design, DESIGNS)}")
    designed = DESIGNS[design](factors) if factors or not listed else []
    arms = {arm_name(settings): settings for settings in designed}
    for name, settings in listed.items():
        if name in arms:
            raise ConfigError(f"listed.{name} must have a name of its own; the design has an arm of that name.")
        arms[name] = dict(settings)
    return arms


def reference_of(design: str, factors: Factors) -> str | None:
    """The arm that one-factor-at-a-time designs compare with: the one that they start from."""
    return None if design == "grid" or not factors else arm_name(DESIGNS[design](factors)[0])


def arm_name(settings: Mapping[str, Any]) -> str:
    """``factor=level,factor=level``: the form from which a report reads what an arm is made of."""
    return ",".join(f"{path}={short_value(value)}" for path, value in settings.items()) or "base"


def short_value(value: Any) -> str:
    """A value for a name: floats with three digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)
