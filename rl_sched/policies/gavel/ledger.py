"""What a run has promised to its jobs and what they have got."""

from __future__ import annotations

import numpy as np

from rl_sched.policies.gavel.live import LiveJobs


class Ledger:
    """Counters of one run, by row of the workload. N jobs, P pools.

    Attributes:
        share: (N, P) fraction of its time that each job shall run on each pool; 0 for jobs without an allocation.
        received_s: (N, P) time that it has run there since its share was made.
        deficit_s: (N, P) time that all earlier shares promised it there, less what it got.
        isolated_s: (N,) time that its work so far would have taken on an equal part of the cluster.
        reset_s: When the shares were made; -inf = never.
    """

    def __init__(self, num_jobs: int, num_pools: int) -> None:
        self.share = np.zeros((num_jobs, num_pools))
        self.received_s = np.zeros((num_jobs, num_pools))
        self.deficit_s = np.zeros((num_jobs, num_pools))
        self.isolated_s = np.zeros(num_jobs)
        self.reset_s = -np.inf
        self._attained_s = np.zeros(num_jobs)  # at the last look
        self._pool = np.full(num_jobs, -1)  # where it runs since the last look
        self._left_frac = np.ones(num_jobs)  # at the last reset
        self._isolated_rate = np.full(num_jobs, np.nan)  # jobs/s at the last reset, nan = it was not there
        self._members = np.zeros(0, np.int64)  # who had a share

    def look(self, live: LiveJobs) -> None:
        """Credits the time that has passed since the last look; a job killed in between counts up to its end."""
        before = self._pool[live.job]
        ran = np.flatnonzero(before >= 0)
        self.received_s[live.job[ran], before[ran]] += live.attained_s[ran] - self._attained_s[live.job[ran]]
        self._attained_s[live.job] = live.attained_s
        self._pool[live.job] = live.pool

    def start(self, job: int, pool: int) -> None:
        """From now on the job runs there."""
        self._pool[job] = pool

    def stop(self, job: int) -> None:
        """From now on the job waits."""
        self._pool[job] = -1

    def settle(self, live: LiveJobs, isolated_rate: np.ndarray) -> None:
        """Counts the work done since the last reset as time in isolation, at the rate that was valid then.

        Args:
            live: The jobs.
            isolated_rate: (k,) jobs/s on an equal part of the cluster of today; of use to jobs that were not there.
        """
        rate = self._isolated_rate[live.job]
        rate = np.where(np.isnan(rate), isolated_rate, rate)
        done = np.maximum(self._left_frac[live.job] - live.left_frac, 0.0)
        self.isolated_s[live.job] += done / rate
        self._left_frac[live.job] = live.left_frac
        self._isolated_rate[live.job] = isolated_rate

    def reset(self, now_s: float, job: np.ndarray, share: np.ndarray) -> None:
        """New shares for the jobs (k,), none for all others; the counters of time begin anew.

        Args:
            now_s: The time.
            job: (k,) rows of the workload.
            share: (k, P).
        """
        rows = np.union1d(self._members, job)
        elapsed_s = now_s - self.reset_s if np.isfinite(self.reset_s) else 0.0
        self.deficit_s[rows] += self.share[rows] * elapsed_s - self.received_s[rows]
        self.share[rows] = 0.0
        self.received_s[rows] = 0.0
        self.share[job] = share
        self._members = job
        self.reset_s = now_s
