"""WFP3: jobs that have waited long for what they ask, large ones above all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rl_sched.policies import rule_kernels
from rl_sched.policies.rule import KernelRule


@dataclass(frozen=True)
class Wfp3(KernelRule):
    """The job of the lowest -(waiting time / run time) ** 3 * GPUs that fits; ties: the oldest.

    Waiting time counts from the submission, the run time is that on the job's fastest type. A job that has not waited
    scores 0. It starts on the fastest type where it fits. Tang, Lan, Desai and Buettner: Fault-aware, utility-based job
    scheduling on Blue Gene/P systems, CLUSTER 2009.

    Attributes:
        power: The exponent.
    """

    power: float = 3.0

    code: ClassVar[int] = rule_kernels.WFP3
    SPACE: ClassVar[dict[str, tuple[float, float]]] = {"power": (0.25, 6.0)}
