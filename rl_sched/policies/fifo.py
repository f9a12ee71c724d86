"""First in, first out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rl_sched.policies.ranking import JobTable, RankingPolicy


@dataclass(frozen=True)
class FifoBackfill(RankingPolicy):
    """The oldest job that fits."""

    def keys(self, jobs: JobTable) -> tuple[np.ndarray, ...]:
        return (jobs.submit_s,)


@dataclass(frozen=True)
class Fifo(FifoBackfill):
    """The oldest job; while it does not fit, nobody starts."""

    strict: ClassVar[bool] = True
