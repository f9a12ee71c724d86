"""Reader of Google's log of 2011 (clusterdata-2011-2): headerless parts of job_events and task_events."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np

from rl_sched.errors import ConfigError, TraceError
from rl_sched.traces.borg import BorgTrace, Events, Step, Tasks, read_jobs
from rl_sched.traces.log import Log
from rl_sched.traces.reading import Table, file_stamp, read_headerless, whole

JOB_COLUMNS = (
    "time", "missing_info", "job_id", "event_type", "user", "scheduling_class", "job_name", "logical_job_name",
)  # fmt: skip
TASK_COLUMNS = (
    "time", "missing_info", "job_id", "task_index", "machine_id", "event_type", "user", "scheduling_class", "priority",
    "cpu_request", "memory_request", "disk_request", "different_machines",
)  # fmt: skip
#: Names of event_type 0, 1, 2, ...
KINDS = (
    "SUBMIT", "SCHEDULE", "EVICT", "FAIL", "FINISH", "KILL", "LOST", "UPDATE_PENDING", "UPDATE_RUNNING",
)  # fmt: skip
STEPS = {
    "SUBMIT": Step.SUBMIT,
    "SCHEDULE": Step.START,
    **dict.fromkeys(("EVICT", "FAIL", "FINISH", "KILL", "LOST"), Step.END),
}
_JOBS, _TASKS = "job_events", "task_events"
_ENDINGS = (".csv.gz", ".csv")


@dataclass(frozen=True)
class Google2011Trace(BorgTrace):
    """Jobs of the 2011 log, as ``BorgTrace`` states; ``path`` is the folder of ``job_events`` and ``task_events``.

    Each of these is a folder of parts (``part-00000-of-00500.csv.gz``, ...) or one file ``job_events.csv[.gz]``. Parts
    cover the same stretch of time in both tables, so that only those which both have are read. A cell of the columns
    used that is not of its kind is an error. Times are microseconds in the log; it begins at 600 s.

    Without ``path`` the folder is ``$RL_SCHED_TRACES/google_2011``.
    """

    default_file: ClassVar[str] = "google_2011"

    parts: int | None = None  # read the first so many parts; None: all that both tables have

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.parts is not None and self.parts < 1:
            raise ConfigError(f"google-2011: parts must be >= 1; it is {self.parts}.")

    def _log(self) -> Log:
        folder = self.file()
        jobs, tasks = _parts(folder, _JOBS), _parts(folder, _TASKS)
        common = sorted(jobs.keys() & tasks.keys())
        if not common:
            raise TraceError(f"{folder}: {_JOBS} and {_TASKS} must have parts of the same name; they have none.")
        chosen = tuple(common[: self.parts])
        left_out = len(jobs.keys() | tasks.keys()) - len(chosen)
        files = tuple(jobs[part] for part in chosen), tuple(tasks[part] for part in chosen)
        stamps = tuple(file_stamp(path) for table in files for path in table)
        return _read(folder, files, stamps, self.max_gang, left_out)


def _parts(folder: str, table: str) -> dict[str, str]:
    """Parts of a table: name without ending -> path.

    Raises:
        TraceError: There is none.
    """
    found: dict[str, str] = {}
    for ending in _ENDINGS:
        whole_file = Path(folder) / (table + ending)
        if whole_file.is_file():
            found.setdefault("", str(whole_file))
        for part in sorted((Path(folder) / table).glob(f"*{ending}")):
            found.setdefault(part.name.removesuffix(ending), str(part))
    if not found:
        raise TraceError(
            f"The folder {folder!r} must hold {table}/part-*.csv.gz or {table}.csv[.gz]; it does not. Check the path."
        )
    return found


@lru_cache(maxsize=2)
def _read(
    folder: str, files: tuple[tuple[str, ...], tuple[str, ...]], stamps: object, max_gang: int, left_out: int
) -> Log:
    """The joined parts; the stamps only serve to read changed files again."""
    events, tasks = _job_events(files[0]), _task_events(files[1])
    notes = [f"{left_out} further parts are not read."] if left_out else []
    return read_jobs(folder, events, tasks, KINDS, STEPS, max_gang, {}, notes)


def _job_events(paths: tuple[str, ...]) -> Events:
    tables = [read_headerless(path, [JOB_COLUMNS], keep=("time", "job_id", "event_type", "user")) for path in paths]
    user = [text for table in tables for text in table.column("user", str.strip, "text")]
    return Events(_whole(tables, "job_id"), _whole(tables, "time"), _kinds(tables), user)


def _task_events(paths: tuple[str, ...]) -> Tasks:
    keep = ("job_id", "task_index", "event_type", "priority")
    tables = [read_headerless(path, [TASK_COLUMNS], keep=keep) for path in paths]
    _kinds(tables)
    return Tasks(_whole(tables, "job_id"), _whole(tables, "task_index"), _whole(tables, "priority"))


def _whole(tables: list[Table], column: str) -> np.ndarray:
    """One column of all parts, (m,) int64."""
    parse = cache(whole)  # a cell's text is found many times
    return np.concatenate([np.array(t.column(column, parse, "a whole number >= 0"), dtype=np.int64) for t in tables])


def _kinds(tables: list[Table]) -> np.ndarray:
    rule = f"one of 0..{len(KINDS) - 1} ({', '.join(KINDS)})"
    parse = cache(_kind)
    return np.concatenate([np.array(t.column("event_type", parse, rule), dtype=np.int64) for t in tables])


def _kind(text: str) -> int:
    value = whole(text)
    if value >= len(KINDS):
        raise ValueError
    return value
