"""``place``: the sampling-based placement of S jobs on K workers, and what it returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rl_sched.errors import ConfigError, PlacementError
from rl_sched.policies.jps import SAMPLERS
from rl_sched.policies.jps.arrays import problem_of
from rl_sched.policies.jps.communication import equal_share_s, gradients_s
from rl_sched.policies.jps.instance import IDLE, Instance
from rl_sched.policies.jps.local_search import KICKED, search
from rl_sched.policies.jps.relaxation import relax

#: Samples that the promise sampler spends on kicks of the best placement instead of on further categories.
KICK_SHARE = 0.25
#: The same with communication, where the order of categories says less.
KICK_SHARE_COMMUNICATION = 0.35


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """Workers of every job, and what they mean. A worker has one owner, so that none can serve two jobs."""

    owner: np.ndarray  # (K,) int64 job of each worker, -1 = idle
    jct_s: np.ndarray  # (S,)
    fairness: float  #: Jain's index of JCT over the JCT of an equal share
    beta: float  #: preference under which it was sought
    bound_s: float  #: no placement has a smaller mean JCT

    @property
    def mean_jct_s(self) -> float:
        return float(self.jct_s.mean())

    @property
    def score(self) -> float:
        """To be compared with scores of the same beta only."""
        return self.mean_jct_s * (self.beta + (1 - self.beta) * (1 - self.fairness))

    @property
    def gap(self) -> float:
        """How far the mean JCT may be above the least possible one, relative to that."""
        return max(0.0, self.mean_jct_s / self.bound_s - 1.0)

    @property
    def counts(self) -> np.ndarray:
        """(S,) workers of each job: its category."""
        return np.bincount(self.owner[self.owner != IDLE], minlength=len(self.jct_s))


def place(
    instance: Instance,
    alpha: float = 0.0,
    beta: float = 1.0,
    samples: int = 40,
    rng: np.random.Generator | int = 0,
    *,
    sampler: str = "promise",
) -> Placement:
    """Places the jobs of an instance.

    Args:
        instance: The jobs and workers.
        alpha: Where in the order of promise sampling starts, 0 <= alpha < 1. Under a right order 0 is best.
        beta: Weight of the mean JCT against fairness, 0 <= beta <= 1.
        samples: N: starts of the local search, kicks included.
        rng: Generator or seed of the draws.
        sampler: Name of ``SAMPLERS``.

    Returns:
        The best placement of all starts, with the relaxation's bound.

    Raises:
        ConfigError: A parameter is out of its range.
    """
    if not 0 <= alpha < 1 or not 0 <= beta <= 1:
        raise ConfigError(f"alpha must be in [0, 1) and beta in [0, 1]; they are {alpha} and {beta}.")
    if samples < 1:
        raise ConfigError(f"samples must be at least 1; it is {samples}.")
    random = np.random.default_rng(rng)
    problem = problem_of(instance)
    relaxation = relax(problem)
    share = KICK_SHARE_COMMUNICATION if problem.idle else KICK_SHARE
    kicks = int(share * samples) if sampler == "promise" and alpha == 0 else 0
    starts = SAMPLERS.load(sampler)(problem, relaxation, samples - kicks, alpha, random)
    if kicks:
        kicks = samples - len(starts)  # few categories leave more samples for kicks
    workers = instance.num_workers
    shifted = random.random((kicks if workers >= KICKED else 0, workers)).argsort(axis=1)[:, :KICKED]
    owner, _ = search(problem, starts, np.ascontiguousarray(shifted), beta)
    return measured(instance, owner, beta, relaxation.bound_s / instance.num_jobs)


def measured(instance: Instance, owner: np.ndarray, beta: float = 1.0, bound_s: float = 0.0) -> Placement:
    """A placement with its completion times, computed from the instance alone.

    Args:
        instance: The jobs and workers.
        owner: (K,) int64 job of each worker, -1 = idle.
        beta: Preference to remember.
        bound_s: Known lower bound of the mean JCT.

    Raises:
        PlacementError: A worker has an owner that is no job, or a job has no worker on which it can run.
    """
    s, k = instance.throughput.shape
    if owner.shape != (k,) or owner.min() < IDLE or owner.max() >= s:
        raise PlacementError(f"owner must name one of {s} jobs, or -1, for each of {k} workers; it does not.")
    mine = owner[None, :] == np.arange(s)[:, None]  # (S, K); a column has one True at most
    rate = (instance.throughput * mine).sum(axis=1)
    if not (rate > 0).all():
        raise PlacementError(f"Every job needs a worker on which it can run; job {int(rate.argmin())} has none.")
    jct_s = instance.work_samples / rate
    if instance.communicates:
        jct_s += gradients_s(instance, mine)
    return Placement(owner, jct_s, fairness(jct_s / equal_share_s(instance)), beta, bound_s)


def fairness(ratio: np.ndarray) -> float:
    """Jain's index, 1 = all equal, 1 / S = one has everything (Jain, Chiu and Hawe, 1984)."""
    return float(ratio.sum() ** 2 / (len(ratio) * (ratio**2).sum()))
