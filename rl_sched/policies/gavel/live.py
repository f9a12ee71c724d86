"""The jobs that a snapshot shows, waiting and running ones in one table."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rl_sched.sim.snapshot import Snapshot
from rl_sched.workload import WHOLE_GPU

#: Least share of its work that a job is taken to have left: an overdue one would have none.
LEAST_LEFT = 1e-6


class LiveJobs(NamedTuple):
    """k jobs in order of their rows in the workload, P pools. Run times are what policies may know."""

    job: np.ndarray  # (k,) int64 row of the job in the workload, ascending
    pool: np.ndarray  # (k,) int64 where it runs, -1 = it waits
    need: np.ndarray  # (k,) int64 thousandths of GPUs that it holds while it runs
    submit_s: np.ndarray  # (k,)
    attained_s: np.ndarray  # (k,) time it has run so far
    left_frac: np.ndarray  # (k,) in [LEAST_LEFT, 1] share of its work that is left
    duration_s: np.ndarray  # (k, P) whole run time, inf = impossible

    @classmethod
    def of(cls, snapshot: Snapshot, slowness: np.ndarray) -> LiveJobs:
        """All that a snapshot shows; with a window, only the waiting jobs of the window.

        Args:
            snapshot: n waiting and m running jobs.
            slowness: (jobs of the workload, P) run time over that on the job's fastest pool, inf = impossible. A
                snapshot tells of a waiting job what it needs from now on, restart cost included, not its run time.
        """
        s, r = snapshot, snapshot.running
        n, m = len(s.job), len(r.job)
        job = np.concatenate([s.job, r.job])
        order = np.argsort(job)
        own_s = r.duration_s[np.arange(m), r.pool]
        left = np.concatenate([s.left_frac, (r.end_s - s.now_s) / own_s])
        columns = cls(
            job=job,
            pool=np.concatenate([np.full(n, -1), r.pool]),
            need=np.concatenate([s.num_gpus * s.gpu_milli, r.num_gpus * r.gpu_milli]),
            submit_s=np.concatenate([s.submit_s, r.submit_s]),
            attained_s=np.concatenate([s.attained_s, r.attained_s]),
            left_frac=np.clip(left, LEAST_LEFT, 1.0),
            duration_s=np.concatenate([s.total_s[:, None] * slowness[s.job], r.duration_s]),
        )
        return cls(*(column[order] for column in columns))

    def __len__(self) -> int:
        return len(self.job)

    @property
    def gpus(self) -> np.ndarray:
        """(k,) float64 GPUs, a fraction for a job that shares one."""
        return self.need / WHOLE_GPU

    def take(self, rows: np.ndarray) -> LiveJobs:
        """Some of the jobs, by index or mask."""
        return LiveJobs(*(column[rows] for column in self))
