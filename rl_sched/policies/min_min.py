"""Min-min earliest finish time with reservations: the strongest simple rule known here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rl_sched.policies import rule_kernels
from rl_sched.policies.rule import KernelRule


@dataclass(frozen=True)
class MinMin(KernelRule):
    """Plans every waiting job where it would finish first, and starts the earliest finisher if that is now.

    Of all waiting jobs, the one whose planned completion (wait for GPUs + run time) is earliest goes first. If its
    GPUs are not free yet it reserves its slots, and the others plan around them. Min-min: Ibarra and Kim, 1977;
    reservations as in conservative backfilling.

    Attributes:
        alpha: Weight of waiting time in the planned finish.
        theta: A type that is free now is taken if its finish is at most theta times the planned one.
        depth: How many blocked jobs may reserve.
        power: The planned finish is multiplied by gang ** power in the comparison of jobs.
    """

    alpha: float = 1.0
    theta: float = 1.0
    depth: int = 1_000_000
    power: float = 0.0

    code: ClassVar[int] = rule_kernels.MIN_MIN
    SPACE: ClassVar[dict[str, tuple[float, float]]] = {"alpha": (0.5, 2.5), "theta": (0.7, 1.8), "depth": (1, 8)}
