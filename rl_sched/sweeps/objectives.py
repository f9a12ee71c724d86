"""What a sweep chooses by: a trial's cost, the scenario's objective with the sign that makes less better."""

from __future__ import annotations

import functools

from rl_sched.evaluation.scores import Objective, objective_named
from rl_sched.scenarios import SCENARIOS


@functools.cache
def objective_on(scenario: str) -> Objective:
    """What a scenario is judged by."""
    return objective_named(SCENARIOS.create(scenario).objective)


def cost(scenario: str, score: float) -> float:
    """An objective as a cost; ``cost(scenario, cost(scenario, score)) == score``."""
    return objective_on(scenario).sign * score


def text(scenario: str, of: float) -> str:
    """A cost as what it stands for: ``mean JCT 112.0 s``, ``episode return 0.812``."""
    objective = objective_on(scenario)
    score = objective.sign * of
    return f"{objective.name} {score:,.1f} {objective.unit}" if objective.unit else f"{objective.name} {score:.3f}"
