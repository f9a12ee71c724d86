"""UNICEP: jobs that have waited long, short and small ones above all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rl_sched.policies import rule_kernels
from rl_sched.policies.rule import KernelRule


@dataclass(frozen=True)
class Unicep(KernelRule):
    """The job of the lowest -waiting time / (log2(GPUs) * run time) that fits; ties: the oldest.

    Waiting time counts from the submission, the run time is that on the job's fastest type. A job that has not waited
    scores 0. log2(1) = 0 is replaced by 1e-15 (``rule_kernels.LOG2_OF_ONE``): jobs of one GPU that have waited come
    first, in order of waiting time / run time. A job starts on the fastest type where it fits. Tang, Lan, Desai and
    Buettner: Fault-aware, utility-based job scheduling on Blue Gene/P systems, CLUSTER 2009 (no job there is that
    small).
    """

    code: ClassVar[int] = rule_kernels.UNICEP
