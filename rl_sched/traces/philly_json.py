"""Reader of the Philly log (Microsoft, 2017) as published: ``cluster_job_log``, one JSON list of jobs.

A job has attempts, and an attempt the nodes and GPUs that it held. The flattened CSV form is read by ``philly``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, NamedTuple

import numpy as np

from rl_sched.errors import ConfigError
from rl_sched.registry import did_you_mean
from rl_sched.traces.json_text import JsonObject, read_json, text, text_of
from rl_sched.traces.log import TWICE, Drops, Log, LogTrace, other_vc, outside_dates, seen_before
from rl_sched.traces.reading import (
    CENSORED,
    DATE_TIME_RULE,
    NEVER_STARTED,
    NO_GPU,
    NO_RUN_TIME,
    date_time,
    file_stamp,
    numbered,
)
from rl_sched.workload import Workload

_NO_ATTEMPT = "no attempt with a start and an end"
_ABSENT = ("None", "")  # how the log writes a time that it does not have, beside null
_CLOCK_STEP_S = date_time("2017-11-05 02:00:00")  # daylight saving time ends: 02:00 becomes 01:00


class _Attempt(NamedTuple):
    start_s: float
    end_s: float  # >= start_s
    gpus: int


class _Job(NamedTuple):
    job_id: str
    user: str
    vc: str
    status: str
    submit_s: float
    attempts: list[_Attempt]  # those with both times
    unusable: int  # attempts without, or with an end before the start
    never_started: bool
    censored: bool


def _sum_of(attempts: list[_Attempt]) -> float:
    """Seconds that the GPUs were held, waiting between attempts left out."""
    return sum(attempt.end_s - attempt.start_s for attempt in attempts)


def _span_of(attempts: list[_Attempt]) -> float:
    """Seconds from the first start to the last end."""
    return max(a.end_s for a in attempts) - min(a.start_s for a in attempts) if attempts else 0.0


RUN_TIMES: dict[str, Callable[[list[_Attempt]], float]] = {"sum": _sum_of, "span": _span_of}


@dataclass(frozen=True)
class PhillyJsonTrace(LogTrace):
    """Jobs of ``cluster_job_log``; times from the first kept arrival.

    The run time is the sum of the attempts with both times (``run_time="span"``: from their first start to their last
    end, as the log's own notebook has it). The gang is the number of GPUs of the last of these attempts. Dropped and
    counted: jobs without attempts, without an attempt that has both times, of no GPU or no run time, and jobs whose
    last attempt has no end, which were running when the log was taken. Attempts without both times (or that end
    before they start) of other jobs are left out, and counted in the notes. Anything else that is missing or not of
    its kind is an error. The status of a job is kept.
    """

    needs: ClassVar[str] = "the file cluster_job_log (JSON, plain or gzipped)"

    vc: str | None = None  # name of a virtual cluster; None: all of them
    start: str | None = None  # ISO date or time; jobs submitted at or after it
    end: str | None = None  # ... and before this one
    run_time: str = "sum"  # a name of RUN_TIMES

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.run_time not in RUN_TIMES:
            raise ConfigError(
                f"philly-json has no run_time {self.run_time!r}. {did_you_mean(self.run_time, RUN_TIMES)}"
            )

    def _log(self) -> Log:
        return _read(self.path, file_stamp(self.path), self.run_time)

    def _tests(self, jobs: Workload) -> dict[str, np.ndarray]:
        return {**other_vc(jobs, self.vc), **outside_dates(jobs, self.start, self.end)}


@lru_cache(maxsize=4)
def _read(path: str, stamp: tuple[int, int], run_time: str) -> Log:
    """The parsed file; ``stamp`` only serves to read a changed file again."""
    jobs = [_job(found) for found in read_json(path)]
    duration = np.array([RUN_TIMES[run_time](job.attempts) for job in jobs])
    gang = np.array([job.attempts[-1].gpus if job.attempts else 0 for job in jobs])
    drops = Drops(len(jobs))
    drops.drop(TWICE, seen_before([job.job_id for job in jobs]))
    drops.drop(NEVER_STARTED, [job.never_started for job in jobs])
    drops.drop(CENSORED, [job.censored for job in jobs])
    drops.drop(_NO_ATTEMPT, [not job.attempts for job in jobs])
    drops.drop(NO_GPU, gang == 0)
    drops.drop(NO_RUN_TIME, duration <= 0)
    rows = drops.left(path)
    kept = [jobs[row] for row in rows]
    vc_names, vc = np.unique([job.vc for job in kept], return_inverse=True)
    workload = Workload.build(
        [job.submit_s for job in kept],
        duration[rows],
        gang[rows],
        user=numbered([job.user for job in kept])[0],
        vc=vc,
        job_id=[job.job_id for job in kept],
        status=[job.status for job in kept],
        vc_names=[str(name) for name in vc_names],
        source=path,
    )
    return Log(workload, drops.counts, unit="jobs", notes=_notes(kept))


def _notes(jobs: list[_Job]) -> tuple[str, ...]:
    notes = []
    unusable = sum(job.unusable for job in jobs)
    if unusable:
        notes.append(f"{unusable} attempts of kept jobs have no usable times and are left out of the run times.")
    ends_s = [attempt.end_s for job in jobs for attempt in job.attempts]
    if min(job.submit_s for job in jobs) < _CLOCK_STEP_S <= max(ends_s):
        notes.append("The log's clock steps back by one hour on 2017-11-05; times across that night are an hour off.")
    return tuple(notes)


def _job(found: JsonObject) -> _Job:
    attempts = found.parts("attempts")
    usable = [attempt for part in attempts if (attempt := _attempt(part)) is not None]
    return _Job(
        job_id=found.get("jobid", text, "a name that is not empty"),
        user=found.get("user", text, "a name that is not empty"),
        vc=found.get("vc", text, "a name that is not empty"),
        status=found.get("status", text, "a word"),
        submit_s=found.get("submitted_time", lambda value: date_time(text(value)), DATE_TIME_RULE),
        attempts=usable,
        unusable=len(attempts) - len(usable),
        never_started=not attempts,
        censored=bool(attempts) and _time(attempts[-1], "end_time") is None,
    )


def _time(part: JsonObject, field: str) -> float | None:
    return part.get(field, text_of(date_time, _ABSENT), f"{DATE_TIME_RULE}, or null")


def _attempt(part: JsonObject) -> _Attempt | None:
    """The attempt, or None without both times in order."""
    start_s, end_s = _time(part, "start_time"), _time(part, "end_time")
    gpus = sum(len(node.get("gpus", _names, "a list of names")) for node in part.parts("detail"))
    if start_s is None or end_s is None or end_s < start_s:
        return None
    return _Attempt(start_s, end_s, gpus)


def _names(value: object) -> list[str]:
    if not isinstance(value, list):
        raise ValueError
    return [text(name) for name in value]
