"""A log in the project's own CSV form, by header: the way in for anybody's trace.

Columns ``job_id, submit_s, duration_s, num_gpus`` and, if wanted, ``job_class, user, vc, priority``; others are
ignored and reported. Times are seconds, kept as written. Gzipped files are read as they are.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from rl_sched.errors import ConfigError, TraceError
from rl_sched.registry import did_you_mean
from rl_sched.traces.reading import (
    EMPTY_LINE,
    GANG_TOO_LARGE,
    Audit,
    Table,
    file_stamp,
    finite,
    gang_size,
    non_negative,
    positive,
    read_table,
)
from rl_sched.workload import Workload

REQUIRED = ("job_id", "submit_s", "duration_s", "num_gpus")
OPTIONAL = ("job_class", "user", "vc", "priority")
_CLASS = "job_class"


class _Log(NamedTuple):
    workload: Workload
    empty_lines: int
    ignored_columns: tuple[str, ...]


class _Speeds(NamedTuple):
    """A table of throughputs: C classes, T types."""

    class_names: tuple[str, ...]  # C
    gpu_types: tuple[str, ...]  # T
    speed: np.ndarray  # (C, T)


@dataclass(frozen=True)
class CsvTrace:
    """Jobs of one CSV file.

    Text in ``user``, ``vc`` and ``job_class`` becomes numbers in order of first appearance; a column that holds whole
    numbers >= 0 only is taken as it is. With ``throughputs``, ``job_class`` names a row of that file instead.

    Raises:
        ConfigError: No path was given.
    """

    path: str = ""
    throughputs: str | None = None  # CSV ``job_class,TYPE,TYPE,...``: speed of a class on a type; empty: cannot run
    max_gpus: int | None = None  # larger gangs are dropped and counted
    rebase: bool = False  # count time from the first kept arrival
    load_scale: float = 1.0  # jobs arrive so many times as fast

    def __post_init__(self) -> None:
        if not self.path:
            raise ConfigError(f"The trace 'csv' needs path=..., a CSV file with the columns {', '.join(REQUIRED)}.")

    def load(self, seed: int = 0) -> Workload:
        """Returns the jobs of the file; the seed plays no part.

        Raises:
            TraceError: The file is missing, a column is missing, or a row cannot be read (file, line, field, value).
        """
        jobs = self._read().workload
        return jobs.take(self._keep(jobs), rebase=self.rebase).scale_load(self.load_scale)

    def audit(self) -> Audit:
        """What became of every row of the file."""
        log = self._read()
        kept = int(self._keep(log.workload).sum())
        dropped = {EMPTY_LINE: log.empty_lines, GANG_TOO_LARGE: len(log.workload) - kept}
        counts = {reason: count for reason, count in dropped.items() if count}
        return Audit(self.path, len(log.workload) + log.empty_lines, kept, counts, log.ignored_columns)

    def _keep(self, jobs: Workload) -> np.ndarray:
        if self.max_gpus is None:
            return np.ones(len(jobs), dtype=bool)
        return jobs.num_gpus <= self.max_gpus

    def _read(self) -> _Log:
        speeds_stamp = None if self.throughputs is None else file_stamp(self.throughputs)
        return _read(self.path, file_stamp(self.path), self.throughputs, speeds_stamp)


@lru_cache(maxsize=8)
def _read(path: str, stamp: tuple[int, int], throughputs: str | None, speeds_stamp: tuple[int, int] | None) -> _Log:
    """The parsed file; the stamps only serve to read a changed file again."""
    needed = REQUIRED if throughputs is None else (*REQUIRED, _CLASS)
    table = read_table(path, needed)
    speeds = None if throughputs is None else _read_speeds(throughputs)
    vc, vc_names = _numbers(table, "vc")
    classes, _ = _numbers(table, _CLASS) if speeds is None else (_rows_of(table, speeds, str(throughputs)), ())
    workload = Workload.build(
        table.column("submit_s", non_negative, "a time in seconds >= 0"),
        table.column("duration_s", positive, "a time in seconds > 0"),
        table.column("num_gpus", gang_size, "a whole number >= 1"),
        job_class=classes,
        user=_numbers(table, "user")[0],
        vc=vc,
        priority=table.column("priority", finite, "a finite number") if "priority" in table.header else None,
        speed=None if speeds is None else speeds.speed,
        gpu_types=() if speeds is None else speeds.gpu_types,
        job_id=_unique_ids(table),
        vc_names=vc_names,
        source=path,
    )
    ignored = tuple(name for name in table.header if name not in REQUIRED + OPTIONAL)
    return _Log(workload, table.empty_lines, ignored)


def _unique_ids(table: Table) -> list[str]:
    ids = table.column("job_id", _name, "a name that is not empty")
    lines: dict[str, int] = {}
    for job, line in zip(ids, table.lines, strict=True):
        if lines.setdefault(job, line) != line:
            raise TraceError(
                f"{table.path}, line {line}, field 'job_id': every job must have its own name; {job!r} is also on line "
                f"{lines[job]}. Rename or remove one of them."
            )
    return ids


def _name(text: str) -> str:
    if not text.strip():
        raise ValueError
    return text.strip()


def _numbers(table: Table, column: str) -> tuple[list[int] | None, Sequence[str]]:
    """(n,) numbers of an optional column of names, and the names; no names if the column holds numbers."""
    if column not in table.header:
        return None, ()
    texts = table.column(column, _name, "a name or a whole number >= 0")
    if all(text.isascii() and text.isdigit() for text in texts):
        return [int(text) for text in texts], ()
    order = {name: i for i, name in enumerate(dict.fromkeys(texts))}
    return [order[text] for text in texts], tuple(order)


def _rows_of(table: Table, speeds: _Speeds, speeds_path: str) -> list[int]:
    """(n,) row of each job's class in the table of speeds."""
    rows = {name: i for i, name in enumerate(speeds.class_names)}
    texts = table.column(_CLASS, _name, "a class name")
    for text, line in zip(texts, table.lines, strict=True):
        if text not in rows:
            raise TraceError(
                f"{table.path}, line {line}, field {_CLASS!r}: the class must be a row of {speeds_path}; "
                f"it is {text!r}. {did_you_mean(text, rows)}"
            )
    return [rows[text] for text in texts]


def _read_speeds(path: str) -> _Speeds:
    table = read_table(path, (_CLASS,))
    types = tuple(name for name in table.header if name != _CLASS)
    names = tuple(table.column(_CLASS, _name, "a class name"))
    for name, line in zip(names, table.lines, strict=True):
        if names.count(name) > 1:
            raise TraceError(f"{path}, line {line}: the class {name!r} must have one row; it has {names.count(name)}.")
    columns = [table.column(t, _speed, "a speed >= 0, or empty where the class cannot run") for t in types]
    if not columns:
        raise TraceError(f"{path}: a table of throughputs needs a column per GPU type beside {_CLASS!r}; it has none.")
    return _Speeds(names, types, np.array(columns).T)


def _speed(text: str) -> float:
    return non_negative(text) if text.strip() else 0.0


def write_csv(workload: Workload, path: str) -> None:
    """Writes a workload so that ``CsvTrace(path)`` gives it back, value for value (its speed table apart)."""
    n = len(workload)
    ids = workload.job_id if workload.job_id is not None else tuple(str(i) for i in range(n))
    named = workload.vc_names
    vcs = [named[v] for v in workload.vc] if named else workload.vc.tolist()
    columns = {
        "job_id": ids,
        "submit_s": map(repr, workload.submit_s.tolist()),
        "duration_s": map(repr, workload.duration_s.tolist()),
        "num_gpus": workload.num_gpus.tolist(),
        _CLASS: workload.job_class.tolist(),
        "user": workload.user.tolist(),
        "vc": vcs,
        "priority": map(repr, workload.priority.tolist()),
    }
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
