"""A tunable index: a weighted sum of a job's features on a GPU type; the lowest starts first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rl_sched.policies import rule_kernels
from rl_sched.policies.rule import KernelRule


@dataclass(frozen=True)
class Index(KernelRule):
    """Starts the feasible (job, type) of the lowest index; ties: the oldest job, then the first type.

    Index = duration * ln(fastest run time) + gang * ln(GPUs) + area * (GPU-seconds over the mean of the waiting
    jobs) + waiting * w / (w + run time), w = time waited, + speed * ln(slow-down on this type).
    The defaults are shortest job first on the fastest free type.
    """

    duration: float = 1.0
    gang: float = 0.0
    area: float = 0.0
    waiting: float = 0.0
    speed: float = 0.1

    code: ClassVar[int] = rule_kernels.INDEX
    SPACE: ClassVar[dict[str, tuple[float, float]]] = {
        "duration": (0.0, 2.0),
        "gang": (-2.0, 2.0),
        "area": (-1.0, 1.0),
        "waiting": (-3.0, 1.0),
        "speed": (0.0, 3.0),
    }
