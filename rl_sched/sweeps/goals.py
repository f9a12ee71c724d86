"""What a search may aim at, beside the objective of the scenario: metrics of the best checkpoint on VAL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rl_sched.errors import ConfigError
from rl_sched.registry import did_you_mean

MINIMIZE, MAXIMIZE = "minimize", "maximize"
#: Metric -> the direction in which it is better (``evaluation.metrics.run_metrics`` says what each is).
DIRECTIONS = {
    "mean_jct_s": MINIMIZE,
    "median_jct_s": MINIMIZE,
    "p95_jct_s": MINIMIZE,
    "p99_jct_s": MINIMIZE,
    "mean_wait_s": MINIMIZE,
    "mean_bounded_slowdown": MINIMIZE,
    "makespan_s": MINIMIZE,
    "utilisation_frac": MAXIMIZE,
    "jain_user_frac": MAXIMIZE,
    "max_finish_time_fairness": MINIMIZE,
    "p95_finish_time_fairness": MINIMIZE,
    "deadline_miss_frac": MINIMIZE,
    "energy_kwh": MINIMIZE,
    "gpu_cost_usd": MINIMIZE,
    "electricity_cost_usd": MINIMIZE,
    "episode_return": MAXIMIZE,
}
#: Section of a trial's metrics that hold them.
SECTION = "val"


@dataclass(frozen=True, slots=True)
class Goal:
    """One objective of a search."""

    metric: str  #: a key of DIRECTIONS
    direction: str | None = None  #: minimize | maximize; None = the one in which the metric is better

    def check(self, path: str) -> None:
        """Raises a ``ConfigError`` that names ``path`` if there is no such metric or direction."""
        if self.metric not in DIRECTIONS:
            raise ConfigError(f"{path}.metric: unknown metric {self.metric!r}. {did_you_mean(self.metric, DIRECTIONS)}")
        if self.direction not in (None, MINIMIZE, MAXIMIZE):
            raise ConfigError(f"{path}.direction must be {MINIMIZE} or {MAXIMIZE}; it is {self.direction!r}.")

    @property
    def towards(self) -> str:
        """``minimize`` or ``maximize``."""
        return self.direction or DIRECTIONS[self.metric]

    @property
    def sign(self) -> float:
        """``sign * value`` is better when lower."""
        return 1.0 if self.towards == MINIMIZE else -1.0


def costs_of(goals: Sequence[Goal], objective: float, metrics: Mapping[str, float]) -> tuple[float, ...]:
    """What a finished trial is judged by, one number a goal, less is better; nan where a metric was not measured.

    Args:
        goals: Of the plan; without any, ``objective`` alone decides.
        objective: Cost on VAL by the scenario's own objective.
        metrics: Of the trial, by name with section.
    """
    if not goals:
        return (objective,)
    return tuple(goal.sign * metrics.get(f"{SECTION}/{goal.metric}", float("nan")) for goal in goals)


def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether costs are nowhere worse and somewhere better than others."""
    return all(a <= b for a, b in zip(one, other, strict=True)) and tuple(one) != tuple(other)


def dominators(of: Sequence[float], among: Sequence[Sequence[float]]) -> int:
    """How many vectors dominate one; with one goal, how many are strictly better."""
    return sum(dominates(other, of) for other in among)
