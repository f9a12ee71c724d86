"""Quasi-shortest service first, of the Helios cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rl_sched.policies.ranking import JobTable, RankingPolicy


@dataclass(frozen=True)
class QuasiShortestService(RankingPolicy):
    """QSSF: the job of the least expected GPU time (run time x GPUs); while it does not fit, nobody starts.

    Among equals the smallest gang, then the oldest. Hu et al.: Characterization and prediction of deep learning
    workloads in large-scale GPU datacenters, SC 2021, section 4.2: there a model predicts the run times ("quasi"), here
    the policy sees what ``Rules.estimates`` and ``estimate_noise`` let it see. Their simulator re-orders the queue one
    second late after arrivals, and not at all by service while every waiting job has just come; this one does not.
    """

    strict: ClassVar[bool] = True

    def keys(self, jobs: JobTable) -> tuple[np.ndarray, ...]:
        return (jobs.fastest_s * jobs.gpu_demand, jobs.num_gpus)
