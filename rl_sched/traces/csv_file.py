"""A log in the project's own CSV form, by header: the way in for anybody's trace.

Columns ``job_id, submit_s, duration_s, num_gpus`` and, if wanted, those of ``OPTIONAL``; others are ignored and
reported. Times are seconds, kept as written. Gzipped files are read as they are.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, NamedTuple

import numpy as np

from rl_sched.errors import TraceError
from rl_sched.registry import did_you_mean
from rl_sched.traces.log import Log, LogTrace
from rl_sched.traces.reading import (
    EMPTY_LINE,
    Table,
    bad_cell,
    file_stamp,
    finite,
    gang_size,
    name,
    non_negative,
    numbered,
    positive,
    read_table,
)
from rl_sched.traces.unique import unique_names
from rl_sched.workload import WHOLE_GPU, Workload

REQUIRED = ("job_id", "submit_s", "duration_s", "num_gpus")
OPTIONAL = ("job_class", "user", "vc", "priority", "gpu_milli", "deadline_s", "estimate_s", "status")
_CLASS = "job_class"
_MAX_DIGITS = 18  # of a number in a column of names, so that it fits 64 bits


class _Speeds(NamedTuple):
    """A table of throughputs: C classes, T types."""

    class_names: tuple[str, ...]  # C
    gpu_types: tuple[str, ...]  # T
    speed: np.ndarray  # (C, T)


@dataclass(frozen=True)
class CsvTrace(LogTrace):
    """Jobs of one CSV file.

    Text in ``user``, ``vc`` and ``job_class`` becomes numbers in order of first appearance; a column that holds whole
    numbers >= 0 only is taken as it is. With ``throughputs``, ``job_class`` names a row of that file instead. An empty
    ``deadline_s`` means none. Any other cell that is empty or not of its kind is an error.

    Raises:
        ConfigError: No path was given.
    """

    needs: ClassVar[str] = f"a CSV file with the columns {', '.join(REQUIRED)}"

    rebase: bool = False  # count time from the first kept arrival
    throughputs: str | None = None  # CSV ``job_class,TYPE,TYPE,...``: speed of a class on a type; empty: cannot run

    def _log(self) -> Log:
        speeds_stamp = None if self.throughputs is None else file_stamp(self.throughputs)
        return _read(self.path, file_stamp(self.path), self.throughputs, speeds_stamp)


@lru_cache(maxsize=8)
def _read(path: str, stamp: tuple[int, int], throughputs: str | None, speeds_stamp: tuple[int, int] | None) -> Log:
    """The parsed file; the stamps only serve to read a changed file again."""
    needed = REQUIRED if throughputs is None else (*REQUIRED, _CLASS)
    table = read_table(path, needed)
    for column in OPTIONAL:
        if table.header.count(column) > 1:
            raise TraceError(f"{path}: the header may have one column {column!r}; it has two of them. Rename one.")
    speeds = None if throughputs is None else _read_speeds(throughputs)
    vc, vc_names = _numbers(table, "vc")
    classes, _ = _numbers(table, _CLASS) if speeds is None else (_rows_of(table, speeds, str(throughputs)), ())
    has = table.header.__contains__
    jobs = Workload.build(
        table.column("submit_s", non_negative, "a time in seconds >= 0"),
        table.column("duration_s", positive, "a time in seconds > 0"),
        table.column("num_gpus", gang_size, "a whole number >= 1"),
        job_class=classes,
        user=_numbers(table, "user")[0],
        vc=vc,
        priority=table.column("priority", finite, "a finite number") if has("priority") else None,
        gpu_milli=_shares(table) if has("gpu_milli") else None,
        deadline_s=table.column("deadline_s", _deadline, "a time in seconds, or empty") if has("deadline_s") else None,
        estimate_s=table.column("estimate_s", positive, "a time in seconds > 0") if has("estimate_s") else None,
        speed=None if speeds is None else speeds.speed,
        gpu_types=() if speeds is None else speeds.gpu_types,
        job_id=unique_names(table, "job_id"),
        status=table.column("status", str, "text") if has("status") else None,
        vc_names=vc_names,
        source=path,
    )
    return Log(jobs, {EMPTY_LINE: table.empty_lines}, table.ignored(REQUIRED + OPTIONAL))


def _deadline(text: str) -> float:
    value = float(text) if text.strip() else math.inf
    if math.isnan(value):
        raise ValueError
    return value


def _shares(table: Table) -> list[int]:
    """(n,) thousandths of one GPU; only a job of one GPU may have less than all of it."""
    rule = f"a whole number in 1..{WHOLE_GPU}"
    shares = table.column("gpu_milli", gang_size, rule)
    gangs = table.column("num_gpus", gang_size, "a whole number >= 1")
    for share, gang, line in zip(shares, gangs, table.lines, strict=True):
        if share > WHOLE_GPU or (share < WHOLE_GPU and gang > 1):
            raise bad_cell(table.path, line, "gpu_milli", f"{rule}, and {WHOLE_GPU} for a gang of {gang}", share)
    return shares


def _numbers(table: Table, column: str) -> tuple[list[int] | None, Sequence[str]]:
    """(n,) numbers of an optional column of names, and the names; no names if the column holds numbers."""
    if column not in table.header:
        return None, ()
    texts = table.column(column, name, "a name or a whole number >= 0")
    if all(text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS for text in texts):
        return [int(text) for text in texts], ()
    return numbered(texts)


def _rows_of(table: Table, speeds: _Speeds, speeds_path: str) -> list[int]:
    """(n,) row of each job's class in the table of speeds."""
    rows = {text: i for i, text in enumerate(speeds.class_names)}
    texts = table.column(_CLASS, name, "a class name")
    for text, line in zip(texts, table.lines, strict=True):
        if text not in rows:
            raise TraceError(
                f"{table.path}, line {line}, field {_CLASS!r}: the class must be a row of {speeds_path}; "
                f"it is {text!r}. {did_you_mean(text, rows)}"
            )
    return [rows[text] for text in texts]


def _read_speeds(path: str) -> _Speeds:
    table = read_table(path, (_CLASS,))
    types = table.ignored((_CLASS,))
    twice = [t for t in types if types.count(t) > 1]
    if twice:
        raise TraceError(f"{path}: every GPU type must have one column; {twice[0]!r} has {types.count(twice[0])}.")
    names = tuple(table.column(_CLASS, name, "a class name"))
    for text, line in zip(names, table.lines, strict=True):
        if names.count(text) > 1:
            raise TraceError(f"{path}, line {line}: the class {text!r} must have one row; it has {names.count(text)}.")
    columns = [table.column(t, _speed, "a speed >= 0, or empty where the class cannot run") for t in types]
    if not columns:
        raise TraceError(f"{path}: a table of throughputs needs a column per GPU type beside {_CLASS!r}; it has none.")
    return _Speeds(names, types, np.array(columns).T)


def _speed(text: str) -> float:
    return non_negative(text) if text.strip() else 0.0


def write_csv(workload: Workload, path: str) -> None:
    """Writes a workload so that ``CsvTrace(path)`` gives it back, value for value (its speed table apart).

    Columns of ``OPTIONAL`` after ``priority`` are written where a job has something to say in them.
    """
    n = len(workload)
    ids = workload.job_id if workload.job_id is not None else tuple(str(i) for i in range(n))
    named = workload.vc_names
    vcs = [named[v] for v in workload.vc] if named else workload.vc.tolist()
    columns: dict[str, Iterable[object]] = {
        "job_id": ids,
        "submit_s": map(repr, workload.submit_s.tolist()),
        "duration_s": map(repr, workload.duration_s.tolist()),
        "num_gpus": workload.num_gpus.tolist(),
        _CLASS: workload.job_class.tolist(),
        "user": workload.user.tolist(),
        "vc": vcs,
        "priority": map(repr, workload.priority.tolist()),
    }
    if (workload.gpu_milli != WHOLE_GPU).any():
        columns["gpu_milli"] = workload.gpu_milli.tolist()
    if (workload.deadline_s != np.inf).any():
        columns["deadline_s"] = ["" if d == np.inf else repr(d) for d in workload.deadline_s.tolist()]
    if workload.estimate_s is not None:
        columns["estimate_s"] = map(repr, workload.estimate_s.tolist())
    if workload.status is not None:
        columns["status"] = workload.status
    _write(path, list(columns), zip(*columns.values(), strict=True))


def write_throughputs(workload: Workload, path: str) -> None:
    """Writes the speed table of a workload for ``CsvTrace(throughputs=path)``; classes are named by their numbers.

    Raises:
        TraceError: The workload has no speed table.
    """
    if workload.speed is None:
        raise TraceError("write_throughputs needs a workload with a speed table; this one has none.")
    rows = ([i, *map(repr, speeds)] for i, speeds in enumerate(workload.speed.tolist()))
    _write(path, [_CLASS, *workload.gpu_types], rows)


def _write(path: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
