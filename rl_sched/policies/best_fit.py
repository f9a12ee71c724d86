"""Best fit: leave as few GPUs idle as possible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rl_sched.policies import rule_kernels
from rl_sched.policies.rule import KernelRule


@dataclass(frozen=True)
class BestFit(KernelRule):
    """The (job, type) that leaves the fewest idle GPUs of that type; ties: the oldest job, then the first type."""

    code: ClassVar[int] = rule_kernels.BEST_FIT
