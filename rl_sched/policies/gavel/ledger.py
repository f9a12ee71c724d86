"""What a run has promised to its jobs and what they have got."""

from __future__ import annotations

import numpy as np

from rl_sched.policies.gavel.live import LiveJobs


class Ledger:
    """Counters of one run, by row of the workload. N jobs, P pools.

    Attributes:
        share: (N, P) fraction of its time that each job shall run on each pool.
        has_share: (N,) bool: the shares of now were made with this job in mind.
        received_s: (N, P) time that it has run there since its share was made.
        deficit_s: (N, P) time that all earlier shares promised it there, less what it got.
    """

    def __init__(self, num_jobs: int, num_pools: int) -> None:
        self.share = np.zeros((num_jobs, num_pools))
        self.has_share = np.zeros(num_jobs, np.bool_)
        self.received_s = np.zeros((num_jobs, num_pools))
        self.deficit_s = np.zeros((num_jobs, num_pools))
        self._attained_s = np.zeros(num_jobs)  # at the last look
        self._pool = np.full(num_jobs, -1)  # where it has run since then

    def look(self, live: LiveJobs) -> None:
        """Credits the time since the last look; a job that was killed in between ran up to that time."""
        job, before = live.job, self._pool[live.job]
        ran = np.flatnonzero(before >= 0)
        self.received_s[job[ran], before[ran]] += live.attained_s[ran] - self._attained_s[job[ran]]
        self._attained_s[job] = live.attained_s
        self._pool[job] = live.pool

    def start(self, job: int, pool: int) -> None:
        """From now on the job runs there."""
        self._pool[job] = pool

    def stop(self, job: int) -> None:
        """From now on the job waits."""
        self._pool[job] = -1

    def renew(self, before: np.ndarray, after: np.ndarray, share: np.ndarray, elapsed_s: float) -> None:
        """Replaces shares and begins to count anew.

        Args:
            before: Rows of the jobs that had shares.
            after: (k,) rows of the jobs that get some.
            share: (k, P) these.
            elapsed_s: Time since the last shares were made.
        """
        rows = np.union1d(before, after)
        self.deficit_s[rows] += self.share[rows] * elapsed_s - self.received_s[rows]
        self.received_s[rows] = 0.0
        self.share[rows] = 0.0
        self.has_share[rows] = False
        self.share[after] = share
        self.has_share[after] = True
