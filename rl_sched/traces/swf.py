"""Reader of the Standard Workload Format (Chapin, Feitelson et al., 1999) of the Parallel Workloads Archive.

A line a job, 18 numbers separated by blanks, -1 for what is missing; lines that start with ``;`` are comments, of
which those at the top have the form ``; MaxProcs: 128``. The logs are of machines without GPUs: ``procs_per_gpu``
processors stand for one GPU.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, NamedTuple

import numpy as np

from rl_sched.errors import ConfigError, TraceError
from rl_sched.registry import did_you_mean
from rl_sched.traces.log import Drops, Log, LogTrace
from rl_sched.traces.reading import EMPTY_LINE, NO_RUN_TIME, Table, file_stamp, finite, numbered, read_text
from rl_sched.traces.unique import unique_names
from rl_sched.workload import Workload

COLUMNS = (
    "job_number", "submit_time", "wait_time", "run_time", "allocated_procs", "average_cpu_time", "used_memory",
    "requested_procs", "requested_time", "requested_memory", "status", "user", "group", "executable", "queue",
    "partition", "preceding_job", "think_time",
)  # fmt: skip
_USED = (
    "job_number", "submit_time", "run_time", "allocated_procs", "requested_procs", "requested_time", "status", "user",
    "executable", "partition",
)  # fmt: skip
#: Codes of the column ``status`` and the words of the format's definition. Codes 2 to 4 are lines about a part of a
#: job that was checkpointed or swapped out; the job as a whole has a line of its own.
STATUS = {
    -1: "unknown",
    0: "failed",
    1: "completed",
    2: "partial",
    3: "last partial, completed",
    4: "last partial, failed",
    5: "cancelled",
}
_WHOLE_JOBS = tuple(STATUS[code] for code in (-1, 0, 1, 5))
_MISSING = -1

#: Reasons for dropping a row; another is the status that was not asked for.
NO_SUBMISSION = "no time of submission"
NO_PROCESSORS = "no number of processors"

#: Entries of the header that say what the log is of.
_TOLD = ("Computer", "MaxProcs", "MaxNodes", "UnixStartTime")


class _File(NamedTuple):
    table: Table
    header: dict[str, str]


@dataclass(frozen=True)
class SwfTrace(LogTrace):
    """Jobs of a log in the Standard Workload Format.

    A job's GPUs are its allocated processors (where they are missing: the requested ones) over ``procs_per_gpu``,
    rounded up. The requested time becomes ``estimate_s`` (where a job states none in a log that has them: its run
    time); the executable the job class, numbered as they appear, as users are; the partition the virtual cluster.

    Raises:
        ConfigError: No path was given, or a parameter is out of range.
    """

    needs: ClassVar[str] = "a file in the Standard Workload Format"

    procs_per_gpu: int = 1  # processors that stand for one GPU
    statuses: tuple[str, ...] = _WHOLE_JOBS  # words of STATUS; jobs that ended otherwise are dropped and counted

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.procs_per_gpu < 1:
            raise ConfigError(f"swf: procs_per_gpu must be >= 1; it is {self.procs_per_gpu}.")
        for word in self.statuses:
            if word not in STATUS.values():
                raise ConfigError(f"swf: unknown status {word!r}. {did_you_mean(str(word), STATUS.values())}")

    def header(self) -> dict[str, str]:
        """The ``; key: value`` comments of the file, such as ``MaxProcs``."""
        return dict(_read(self.path, file_stamp(self.path)).header)

    def _log(self) -> Log:
        return _parse(self.path, file_stamp(self.path), self.procs_per_gpu, tuple(self.statuses))


@lru_cache(maxsize=2)
def _read(path: str, stamp: tuple[int, int]) -> _File:
    """The file as text; ``stamp`` only serves to read a changed file again."""
    header: dict[str, str] = {}
    rows: list[list[str]] = []
    lines: list[int] = []
    empty = 0
    for line, text in enumerate(read_text(path).removesuffix("\n").split("\n"), start=1):
        fields = text.split()
        if not fields:
            empty += 1
        elif fields[0].startswith(";"):
            key, colon, value = text.strip().lstrip(";").partition(":")
            if colon and key.strip() and value.strip():
                header.setdefault(key.strip(), value.strip())
        elif len(fields) != len(COLUMNS):
            raise TraceError(
                f"{path}, line {line}: a line must have {len(COLUMNS)} numbers separated by blanks; it has "
                f"{len(fields)}. Mend or remove this line."
            )
        else:
            rows.append(fields)
            lines.append(line)
    if not rows:
        raise TraceError(f"{path}: a trace needs at least one line that is no comment; it has none.")
    return _File(Table(path, COLUMNS, rows, lines, empty), header)


@lru_cache(maxsize=4)
def _parse(path: str, stamp: tuple[int, int], procs_per_gpu: int, statuses: tuple[str, ...]) -> Log:
    """The usable jobs of the file."""
    table, header = _read(path, stamp)
    submit = _seconds(table, "submit_time")
    run_time = _seconds(table, "run_time")
    requested_s = _seconds(table, "requested_time")
    allocated = _whole(table, "allocated_procs")
    procs = np.where(allocated > 0, allocated, _whole(table, "requested_procs"))
    codes = table.column("status", _code, "a status code -1..5")
    drops = Drops(len(codes))
    for code, word in STATUS.items():
        if word not in statuses:
            drops.drop(f"status {word}", np.array(codes) == code)
    drops.drop(NO_SUBMISSION, submit < 0)
    drops.drop(NO_RUN_TIME, run_time <= 0)
    drops.drop(NO_PROCESSORS, procs <= 0)
    rows = drops.left(table.path)
    estimate = requested_s[rows]
    names = unique_names(table, "job_number", rows)
    vc, vc_names = _partitions(table, rows)
    jobs = Workload.build(
        submit[rows],
        run_time[rows],
        -(-procs[rows] // procs_per_gpu),
        job_class=_numbers(table, "executable")[rows],
        user=_numbers(table, "user")[rows],
        vc=vc,
        vc_names=vc_names,
        estimate_s=np.where(estimate > 0, estimate, run_time[rows]) if (estimate > 0).any() else None,
        status=[STATUS[codes[row]] for row in rows],
        job_id=[names[row] for row in rows],
        source=table.path,
    )
    dropped = {EMPTY_LINE: table.empty_lines, **drops.counts}
    return Log(jobs, dropped, table.ignored(_USED), notes=_notes(header, procs[rows], estimate))


def _notes(header: dict[str, str], procs: np.ndarray, estimate_s: np.ndarray) -> tuple[str, ...]:
    notes = []
    told = [f"{key} {header[key]}" for key in _TOLD if key in header]
    if told:
        notes.append(f"Header: {', '.join(told)}.")
    digits = re.match(r"\d{1,18}", header.get("MaxProcs", ""))
    above = int((procs > int(digits[0])).sum()) if digits else 0
    if digits and above:
        notes.append(f"{above} kept jobs had more processors than MaxProcs.")
    unstated = int((estimate_s <= 0).sum())
    if 0 < unstated < len(estimate_s):
        notes.append(f"{unstated} kept jobs state no requested time: their run time stands for it.")
    return tuple(notes)


def _partitions(table: Table, rows: np.ndarray) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """(k,) virtual cluster of the rows, and names; none where no row states its partition."""
    numbers = _whole(table, "partition")[rows]
    if (numbers == _MISSING).all():
        return None, ()
    vc, names = numbered([f"partition {n}" if n >= 0 else "no partition" for n in numbers.tolist()])
    return np.array(vc), names


def _numbers(table: Table, column: str) -> np.ndarray:
    """(n,) numbers of a column in order of first appearance; a missing one is a number of its own."""
    return np.array(numbered([str(n) for n in _whole(table, column).tolist()])[0])


def _seconds(table: Table, column: str) -> np.ndarray:
    """(n,) seconds, -1 where missing."""
    return np.array(table.column(column, _or_missing(finite), "a time in seconds >= 0, or -1"))


def _whole(table: Table, column: str) -> np.ndarray:
    """(n,) int64, -1 where missing."""
    return np.array(table.column(column, _integer, "a whole number >= 0, or -1"), np.int64)


def _or_missing(parse: Callable[[str], float]) -> Callable[[str], float]:
    def parse_or_missing(text: str) -> float:
        value = parse(text)
        if value < 0 and value != _MISSING:
            raise ValueError
        return value

    return parse_or_missing


def _integer(text: str) -> int:
    value = int(text) if text.lstrip("-").isdigit() and text.isascii() else finite(text)
    if value != int(value) or not _MISSING <= value < 2**63:
        raise ValueError
    return int(value)


def _code(text: str) -> int:
    value = _integer(text)
    if value not in STATUS:
        raise ValueError
    return value
