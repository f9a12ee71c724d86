"""Earliest deadline first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rl_sched.policies.ranking import JobTable, RankingPolicy


@dataclass(frozen=True)
class EarliestDeadline(RankingPolicy):
    """The job of the earliest deadline that fits; jobs without one come last, the oldest first.

    Liu and Layland: Scheduling algorithms for multiprogramming in a hard-real-time environment, JACM 1973; here without
    preemption, and jobs that have missed their deadlines stay in front.
    """

    def keys(self, jobs: JobTable) -> tuple[np.ndarray, ...]:
        return (jobs.deadline_s, jobs.submit_s)
