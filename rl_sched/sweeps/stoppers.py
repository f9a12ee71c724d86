"""The STOPPERS table: when the training run of a poor configuration is stopped half-way, by name.

An entry is a function ``(own, others, point, keep) -> bool``: whether a VAL curve should end at a point.
Curves are ``point -> cost``, points count validations; ``keep`` is the fraction of curves that goes on.

Optuna's own median pruner compares with COMPLETE configurations only; here these are the survivors, a biased sample.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from rl_sched.registry import Registry

Curve = Mapping[int, float]

STOPPERS = Registry(
    "stopper",
    {
        "none": "rl_sched.sweeps.stoppers:none",
        "median": "rl_sched.sweeps.stoppers:median",
        "halving": "rl_sched.sweeps.stoppers:halving",
    },
)


def none(own: Curve, others: Sequence[Curve], point: int, keep: float) -> bool:
    """Every run trains to its end."""
    return False


def median(own: Curve, others: Sequence[Curve], point: int, keep: float) -> bool:
    """Stops what is, at any point, worse than the quantile ``keep`` of the others' best so far (0.5: the median)."""
    return best_until(own, point) > float(np.quantile([best_until(curve, point) for curve in others], keep))


def halving(own: Curve, others: Sequence[Curve], point: int, keep: float) -> bool:
    """Asynchronous successive halving (Li et al., 2020): at points 1, 2, 4, 8, ... the best ``keep`` of them go on."""
    if point & (point - 1):
        return False
    better = sum(best_until(curve, point) < best_until(own, point) for curve in others)
    return better >= math.ceil(keep * (len(others) + 1))


def best_until(curve: Curve, point: int) -> float:
    """The best of a curve up to a point; infinite if it has none."""
    return min((value for p, value in curve.items() if p <= point), default=math.inf)
