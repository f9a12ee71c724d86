"""Shortest job first and smallest area first; durations are those on the job's fastest GPU type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rl_sched.policies.ranking import JobTable, RankingPolicy


@dataclass(frozen=True)
class ShortestJobFirstBackfill(RankingPolicy):
    """The shortest job that fits."""

    def keys(self, jobs: JobTable) -> tuple[np.ndarray, ...]:
        return (jobs.fastest_s,)


@dataclass(frozen=True)
class ShortestJobFirst(ShortestJobFirstBackfill):
    """The shortest job; while it does not fit, nobody starts."""

    strict: ClassVar[bool] = True


@dataclass(frozen=True)
class SmallestArea(RankingPolicy):
    """The job with the least GPU-seconds (duration x gang) that fits."""

    def keys(self, jobs: JobTable) -> tuple[np.ndarray, ...]:
        return (jobs.fastest_s * jobs.num_gpus,)
