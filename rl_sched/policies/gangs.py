"""Order by gang size, then shortest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rl_sched.policies.ranking import JobTable, RankingPolicy


@dataclass(frozen=True)
class MostGpus(RankingPolicy):
    """The largest gang that fits; among equals the shortest."""

    def keys(self, jobs: JobTable) -> tuple[np.ndarray, ...]:
        return (-jobs.num_gpus, jobs.fastest_s)


@dataclass(frozen=True)
class FewestGpus(RankingPolicy):
    """The smallest gang that fits; among equals the shortest."""

    def keys(self, jobs: JobTable) -> tuple[np.ndarray, ...]:
        return (jobs.num_gpus, jobs.fastest_s)
