"""How the jobs of a log ended, and whose run times are cut short (censored).

A job that was stopped from outside would have run longer: its run time is a lower bound of what it needed. A job that
failed by itself ran as long as it could: that is its run time. See Kaplan and Meier (1958) for the terms.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rl_sched.traces.reading import CENSORED, Audit
from rl_sched.workload import Workload

FINISHED = "ran to its end"
FAILED = "failed by itself"
STOPPED = "stopped: run time is a lower bound"
UNKNOWN = "not known"

#: Words that logs use, in lower case, and what they say about the run time.
WORDS = {
    "pass": FINISHED,
    "succeeded": FINISHED,
    "terminated": FINISHED,
    "completed": FINISHED,
    "finish": FINISHED,
    "finished": FINISHED,
    "last partial, completed": FINISHED,
    "failed": FAILED,
    "fail": FAILED,
    "last partial, failed": FAILED,
    "killed": STOPPED,
    "kill": STOPPED,
    "cancelled": STOPPED,
    "timeout": STOPPED,
    "node_fail": STOPPED,
    "suspended": STOPPED,
    "partial": STOPPED,
    "evict": STOPPED,
    "lost": STOPPED,
    "running": STOPPED,  # it ran when the record was taken, and was taken away later
}


class StatusRow(NamedTuple):
    """The jobs of one status."""

    status: str  # in the log's own words
    jobs: int
    gpu_hours: float
    median_duration_s: float
    ending: str  # one of the constants above


class Endings(NamedTuple):
    """Statuses, the most frequent first, and what is censored."""

    rows: tuple[StatusRow, ...]  # none where the log has no status
    censored_jobs: int  # kept jobs that were stopped
    censored_job_share: float
    censored_gpu_hour_share: float
    dropped_without_end: int  # rows of the file that were dropped because the log does not show their end


def endings(jobs: Workload, audit: Audit | None = None) -> Endings:
    """Counts statuses; ``audit`` tells what was dropped before."""
    lost = sum(count for reason, count in audit.dropped.items() if reason == CENSORED) if audit is not None else 0
    if jobs.status is None:
        return Endings((), 0, float("nan"), float("nan"), lost)
    gpu_hours = jobs.duration_s * jobs.gpu_demand / 3600
    words, of = np.unique(np.array(jobs.status, dtype=object).astype(str), return_inverse=True)
    rows = [
        StatusRow(
            str(word),
            int((of == i).sum()),
            float(gpu_hours[of == i].sum()),
            float(np.median(jobs.duration_s[of == i])),
            WORDS.get(str(word).strip().lower(), UNKNOWN),
        )
        for i, word in enumerate(words)
    ]
    rows.sort(key=lambda row: (-row.jobs, row.status))
    stopped = [row for row in rows if row.ending == STOPPED]
    cut = sum(row.jobs for row in stopped)
    cut_hours = sum(row.gpu_hours for row in stopped)
    return Endings(tuple(rows), cut, cut / len(jobs), cut_hours / float(gpu_hours.sum()), lost)
