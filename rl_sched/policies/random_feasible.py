"""A random job that fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rl_sched.policies import rule_kernels
from rl_sched.policies.rule import KernelRule


@dataclass(frozen=True)
class RandomFeasible(KernelRule):
    """A job drawn uniformly from those that fit, on the fastest type where it fits; never waits by choice.

    The draw is a hash of the seed, the time and the number of the decision: a function of the snapshot alone.
    """

    seed: int = 0

    code: ClassVar[int] = rule_kernels.RANDOM
