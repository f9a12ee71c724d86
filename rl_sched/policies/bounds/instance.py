"""A scheduling instance as plain arrays, and how an order of jobs becomes a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rl_sched.cluster import ClusterSpec
from rl_sched.errors import WorkloadError
from rl_sched.workload import WHOLE_GPU, Workload


class Schedule(NamedTuple):
    """A non-preemptive schedule of n jobs."""

    start_s: np.ndarray  # (n,) float64
    finish_s: np.ndarray  # (n,) float64
    pool: np.ndarray  # (n,) int64


@dataclass(frozen=True)
class Instance:
    """n gangs, P pools of GPUs. A gang runs without a break on GPUs of one pool, wherever these lie in it."""

    submit_s: np.ndarray  # (n,) float64 >= 0
    duration_s: np.ndarray  # (n, P) float64 > 0, inf where the job cannot run
    gang: np.ndarray  # (n,) int64
    gpus: np.ndarray  # (P,) int64

    @classmethod
    def of(cls, workload: Workload, cluster: ClusterSpec) -> Instance:
        """The instance of a workload on a cluster.

        Raises:
            WorkloadError: A job takes a share of a GPU: shares of one GPU pack, which this model has no notion of.
        """
        shared = np.flatnonzero(workload.gpu_milli < WHOLE_GPU)
        if shared.size:
            raise WorkloadError(
                f"Optima are computed for jobs on whole GPUs; row {shared[0]} takes {workload.gpu_milli[shared[0]]} "
                f"thousandths of one. Leave such jobs out or use lower_bounds, which accepts them."
            )
        return cls(workload.submit_s, workload.duration_on(cluster), workload.num_gpus, cluster.pool_gpus)

    def __len__(self) -> int:
        return len(self.submit_s)

    @property
    def shortest_s(self) -> np.ndarray:
        """(n,) run time of each job on its fastest pool."""
        return self.duration_s.min(axis=1)

    def in_order(self, order: Sequence[int] | np.ndarray, pool: np.ndarray | None = None) -> Schedule:
        """Places the jobs one by one, each as early as the ones before it permit (serial schedule generation).

        Args:
            order: The n jobs in the order of placement.
            pool: (n,) pool of each job; None = where it finishes first.

        Returns:
            The schedule. Ordered by the start times of some schedule and with its pools, no job starts later than
            there: all earlier ones start no later, thus leave at its old start what they left before.
        """
        n, pools = self.duration_s.shape
        start, finish = np.full(n, np.inf), np.full(n, np.inf)
        place = np.full(n, -1, np.int64)
        for job in order:
            options = range(pools) if pool is None else [int(pool[job])]
            for option in options:
                begin = self._earliest(job, option, start, finish, place)
                if begin + self.duration_s[job, option] < finish[job]:
                    start[job], finish[job] = begin, begin + self.duration_s[job, option]
                    chosen = option
            place[job] = chosen
        return Schedule(start, finish, place)

    def _earliest(self, job: int, pool: int, start: np.ndarray, finish: np.ndarray, place: np.ndarray) -> float:
        """Earliest start of a job beside the placed ones: at its submission or when another one ends."""
        length = self.duration_s[job, pool]
        if not np.isfinite(length):
            return float("inf")
        mine = np.flatnonzero(place == pool)

        def fits(begin: float) -> bool:
            during = mine[(start[mine] < begin + length) & (finish[mine] > begin)]
            # What runs grows at starts alone: look at the beginning and at every start within.
            moments = np.append(start[during][start[during] > begin], begin)
            running = (start[during] <= moments[:, None]) & (finish[during] > moments[:, None])
            return bool(((running * self.gang[during]).sum(axis=1) + self.gang[job] <= self.gpus[pool]).all())

        ends = np.unique(np.append(finish[mine], self.submit_s[job]))
        # After the last end every gang that can run in the pool fits.
        return float(next(begin for begin in ends[ends >= self.submit_s[job]] if fits(begin)))
