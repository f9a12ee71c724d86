"""Highest priority first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rl_sched.policies.ranking import JobTable, RankingPolicy


@dataclass(frozen=True)
class Priority(RankingPolicy):
    """The job of the highest priority that fits; among equals the oldest."""

    def keys(self, jobs: JobTable) -> tuple[np.ndarray, ...]:
        return (-jobs.priority,)
