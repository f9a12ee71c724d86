"""Min-min's plan improved by local search at every decision: what planning alone can do, arrivals unforeseen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rl_sched.policies import rule_kernels
from rl_sched.policies.rule import KernelRule


@dataclass(frozen=True)
class LocalSearch(KernelRule):
    """Plans all waiting jobs with reservations, improves the plan, and starts what it starts now.

    The plan is min-min's: a list schedule in the order of the earliest finishes. Local search moves single jobs in
    that order (insertion neighbourhood: Taillard, EJOR 47, 1990) and keeps what makes the sum of the planned finishes
    less. Arrivals to come are not foreseen.

    Attributes:
        alpha: Weight of waiting time in the planned finish.
        theta: A type that is free now is taken if its finish is at most theta times the planned one.
        moves: Moves tried at a decision; 0 = the order by min-min itself.
        depth: Jobs that are moved, those that come first in min-min's order; the others follow as it plans them.
        seed: Of the moves, together with the number of the decision.
    """

    alpha: float = 1.0
    theta: float = 1.0
    moves: int = 100
    depth: int = 16
    seed: int = 0

    code: ClassVar[int] = rule_kernels.LOCAL_SEARCH
    SPACE: ClassVar[dict[str, tuple[float, float]]] = {"alpha": (0.5, 2.5), "theta": (0.7, 1.8)}
