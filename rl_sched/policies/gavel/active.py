"""The jobs that an allocation is made for."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from rl_sched.errors import WorkloadError


@dataclass(frozen=True)
class ActiveJobs:
    """Jobs that share the cluster now. n jobs, T GPU types (or pools). Use ``ActiveJobs.build``, which validates."""

    throughput: np.ndarray  # (n, T) float64 steps/s of the whole gang, in any unit of work; 0 = cannot run there
    gang: np.ndarray  # (n,) float64 GPUs that the job holds while it runs
    gpus: np.ndarray  # (T,) float64 GPUs of each type
    weight: np.ndarray  # (n,) float64 > 0: a job of weight 2 is entitled to twice the share
    keys: tuple[Hashable, ...]  # (n,) names under which a solver recognises a job that it has seen before

    @classmethod
    def build(
        cls,
        throughput: object,
        gang: object,
        gpus: object,
        *,
        weight: object | None = None,
        keys: Sequence[Hashable] | None = None,
    ) -> ActiveJobs:
        """Validates the columns; types that are too small for a job's gang become types on which it cannot run.

        Raises:
            WorkloadError: Shapes disagree, a number is not one, or a job can run nowhere.
        """
        size = np.array(gpus, dtype=np.float64)
        width = np.array(gang, dtype=np.float64)
        n = len(width)
        rate = np.array(throughput, dtype=np.float64).reshape(n, len(size))
        share = np.ones(n) if weight is None else np.array(weight, dtype=np.float64)
        names = tuple(range(n)) if keys is None else tuple(keys)
        if share.shape != (n,) or len(names) != n or len(set(names)) != n:
            raise WorkloadError(
                f"An allocation needs one weight and one distinct key per job; there are {n} jobs, weights of shape "
                f"{share.shape} and {len(set(names))} distinct keys. Give one of each per job."
            )
        if not (np.isfinite(rate).all() and (rate >= 0).all() and (width > 0).all() and (share > 0).all()):
            raise WorkloadError(
                "An allocation needs finite throughputs >= 0, gangs > 0 and weights > 0; some value is not. Mend it."
            )
        rate[width[:, None] > size[None, :]] = 0.0
        stuck = np.flatnonzero(~(rate > 0).any(axis=1))
        if stuck.size:
            raise WorkloadError(
                f"Every job needs a GPU type with room for its gang and a throughput above 0; job {names[stuck[0]]!r} "
                f"({width[stuck[0]]:g} GPUs) has none among types of {size.astype(int).tolist()} GPUs. Leave it out."
            )
        return cls(rate, width, size, share, names)

    def __len__(self) -> int:
        return len(self.gang)

    @property
    def proportional_throughput(self) -> np.ndarray:
        """(n,) throughput of a job that spends its time on the types in proportion to their GPUs."""
        return self.throughput @ (self.gpus / self.gpus.sum())

    @property
    def isolated_throughput(self) -> np.ndarray:
        """(n,) throughput of a job alone on 1/n of every GPU type (Gavel, section 4.2: ``X_isolated``).

        1/n of a type serves a gang of g GPUs for ``gpus / (n g)`` of the time; a job whose fractions add up to more
        than all its time gets them scaled down to that. (The published code scales all jobs by one common factor, up
        as well as down, which for many jobs promises more GPUs than there are; the paper's definition is used here.)
        """
        frac = np.where(self.throughput > 0, self.gpus[None, :] / (len(self) * self.gang[:, None]), 0.0)
        frac /= np.maximum(frac.sum(axis=1, keepdims=True), 1.0)
        return (self.throughput * frac).sum(axis=1)
