"""Google's cluster logs as GPU jobs: the life of a job from its events, and a stated mapping of tasks to GPUs.

These clusters have no GPUs and the logs no run times, so the mapping is an assumption: a job becomes a gang of as many
GPUs as it has tasks, ``max_gang`` at most, whatever share of a machine a task asks for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import numpy as np

from rl_sched.errors import ConfigError
from rl_sched.traces.log import Drops, Log, LogTrace
from rl_sched.traces.reading import CENSORED, MAX_WHOLE, NEVER_STARTED, NO_RUN_TIME, numbered
from rl_sched.workload import Workload

#: Times of events that lie before the log begins, and after it ends.
BEFORE, AFTER = 0, MAX_WHOLE
_TICKS_PER_S = 1e6
EARLIER = "submitted before the log begins"
NO_SUBMISSION = "no submission in the log"
NO_TASK = "no task in the log"


class Step(Enum):
    """What an event does to a job."""

    SUBMIT = "submit"
    START = "start"
    END = "end"
    NOTHING = "nothing"


class Events(NamedTuple):
    """Events of jobs, in the order of the log. m events."""

    job: np.ndarray  # (m,) int64 id
    time_us: np.ndarray  # (m,) int64; BEFORE and AFTER as they are
    kind: np.ndarray  # (m,) int64: index into the log's table of kinds
    user: Sequence[str]  # (m,)


class Tasks(NamedTuple):
    """Tasks, one row each time one is named. k rows."""

    job: np.ndarray  # (k,) int64 id
    number: np.ndarray  # (k,) int64 number within the job
    priority: np.ndarray  # (k,) int64


@dataclass(frozen=True)
class BorgTrace(LogTrace):
    """Parameters of both Google logs.

    A job's run time goes from its first SCHEDULE to its last end (EVICT, FAIL, FINISH, KILL, LOST); waiting in between
    is part of it. Its gang is the number of its tasks, ``max_gang`` at most; its priority the largest of its tasks,
    its status the name of its last end. Dropped and counted: jobs with an event before the log begins (their true
    start is unknown), without a SUBMIT, never scheduled, still running at the end of the files, of no run time, and
    without a task.
    """

    max_gang: int = 8  # GPUs of a job with that many tasks or more

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_gang < 1:
            raise ConfigError(f"max_gang must be >= 1; it is {self.max_gang}.")


def read_jobs(
    path: str,
    events: Events,
    tasks: Tasks,
    kinds: Sequence[str],
    steps: Mapping[str, Step],
    max_gang: int,
    dropped: Mapping[str, int],
    notes: Sequence[str],
) -> Log:
    """Jobs in order of first appearance among the events.

    Args:
        path: The log, for messages.
        events: Events of jobs.
        tasks: Tasks of any jobs; those of others do not matter.
        kinds: Name of each kind of event.
        steps: Kind -> what it does; kinds left out do nothing.
        max_gang: Largest gang.
        dropped: Jobs that were left out before, by reason.
        notes: What to say beside the mapping.

    Raises:
        TraceError: No usable job is left.
    """
    ids, first_row, job = np.unique(events.job, return_index=True, return_inverse=True)
    n = len(ids)
    order = np.lexsort((np.arange(len(job)), events.time_us))
    step_of = [steps.get(kind, Step.NOTHING) for kind in kinds]
    submit, start, end = (np.full(n, -1, dtype=np.int64) for _ in range(3))
    running = np.zeros(n, dtype=bool)
    last = np.zeros(n, dtype=np.int64)
    for row in order[events.time_us[order] < AFTER]:
        j, step, time_us = job[row], step_of[events.kind[row]], events.time_us[row]
        if step is Step.SUBMIT and submit[j] < 0:
            submit[j] = time_us
        elif step is Step.START:
            running[j] = True
            start[j] = time_us if start[j] < 0 else start[j]
        elif step is Step.END:
            running[j], end[j], last[j] = False, time_us, events.kind[row]
    earlier = np.zeros(n, dtype=bool)
    earlier[job[events.time_us == BEFORE]] = True
    gang, priority = _of_tasks(ids, tasks)
    drops = Drops(n)
    drops.drop(EARLIER, earlier)
    drops.drop(NO_SUBMISSION, submit < 0)
    drops.drop(NEVER_STARTED, start < 0)
    drops.drop(CENSORED, running | (end < 0))
    drops.drop(NO_RUN_TIME, end <= start)
    drops.drop(NO_TASK, gang == 0)
    rows = drops.left(path)
    rows = rows[np.argsort(first_row[rows], kind="stable")]
    jobs = Workload.build(
        submit[rows] / _TICKS_PER_S,
        (end - start)[rows] / _TICKS_PER_S,
        np.minimum(gang[rows], max_gang),
        user=numbered([events.user[first_row[row]] for row in rows])[0],
        priority=priority[rows],
        job_id=[str(ids[row]) for row in rows],
        status=[kinds[last[row]] for row in rows],
        source=path,
    )
    mapping = f"Mapping (an assumption, the log has no GPUs): GPUs of a job = its tasks, at most {max_gang}."
    return Log(jobs, {**dropped, **drops.counts}, unit="jobs", notes=(mapping, *notes))


def _of_tasks(ids: np.ndarray, tasks: Tasks) -> tuple[np.ndarray, np.ndarray]:
    """Number of tasks (n,) and largest task priority (n,) of each of the sorted job ids."""
    at = np.searchsorted(ids, tasks.job)
    known = at < len(ids)
    known[known] = ids[at[known]] == tasks.job[known]
    at, number = at[known], tasks.number[known]
    count, priority = np.zeros(len(ids), dtype=np.int64), np.zeros(len(ids), dtype=np.int64)
    np.maximum.at(priority, at, tasks.priority[known])
    order = np.lexsort((number, at))
    at, number = at[order], number[order]
    new = np.ones(len(at), dtype=bool)
    new[1:] = (at[1:] != at[:-1]) | (number[1:] != number[:-1])
    np.add.at(count, at[new], 1)
    return count, priority
