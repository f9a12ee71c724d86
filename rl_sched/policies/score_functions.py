"""F1 to F4: score functions fitted to simulations by machine learning.

Carastan-Santos and de Camargo: Obtaining dynamic scheduling policies with simulation and machine learning, SC 2017:
non-linear regression over simulated schedules gave four functions of a job's run time r (s), size n (processors) and
time of submission s (s since the beginning of the log); the job of the lowest score goes first. Here r is the run time
on the job's fastest type, n its GPUs, and s is taken to be at least 1 second, as log10(0) has no value. Jobs that fit
may pass jobs that do not.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from rl_sched.policies.ranking import JobTable, RankingPolicy


class ScoreFunction(RankingPolicy):
    """The lowest score first."""

    @abstractmethod
    def score(self, run_s: np.ndarray, gpus: np.ndarray, log_submit: np.ndarray) -> np.ndarray:
        """(n,) scores from run times, sizes and log10 of the times of submission, each (n,)."""

    def keys(self, jobs: JobTable) -> tuple[np.ndarray, ...]:
        return (self.score(jobs.fastest_s, jobs.num_gpus, np.log10(np.maximum(jobs.submit_s, 1.0))),)


@dataclass(frozen=True)
class F1(ScoreFunction):
    """log10(r) * n + 870 * log10(s)."""

    def score(self, run_s: np.ndarray, gpus: np.ndarray, log_submit: np.ndarray) -> np.ndarray:
        return np.log10(run_s) * gpus + 870.0 * log_submit


@dataclass(frozen=True)
class F2(ScoreFunction):
    """sqrt(r) * n + 25,600 * log10(s)."""

    def score(self, run_s: np.ndarray, gpus: np.ndarray, log_submit: np.ndarray) -> np.ndarray:
        return np.sqrt(run_s) * gpus + 25_600.0 * log_submit


@dataclass(frozen=True)
class F3(ScoreFunction):
    """r * n + 6,860,000 * log10(s)."""

    def score(self, run_s: np.ndarray, gpus: np.ndarray, log_submit: np.ndarray) -> np.ndarray:
        return run_s * gpus + 6_860_000.0 * log_submit


@dataclass(frozen=True)
class F4(ScoreFunction):
    """r * sqrt(n) + 530,000 * log10(s)."""

    def score(self, run_s: np.ndarray, gpus: np.ndarray, log_submit: np.ndarray) -> np.ndarray:
        return run_s * np.sqrt(gpus) + 530_000.0 * log_submit
