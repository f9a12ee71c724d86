"""Reader of the Helios logs (SenseTime, 2020): ``cluster_log.csv`` of one cluster, and the daily sizes of its VCs.

A second layout, ``job_id,vc,submit,gpus,duration`` with times in seconds, is that of workloads cut from such logs to
compare simulators; the header decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, NamedTuple

import numpy as np

from rl_sched.cluster import ClusterSpec, NodeGroup
from rl_sched.errors import ConfigError, TraceError
from rl_sched.registry import did_you_mean
from rl_sched.traces.log import TWICE, Drops, Log, LogTrace, other_vc, outside_dates, seen_before
from rl_sched.traces.reading import (
    DATE_TIME_RULE,
    EMPTY_LINE,
    NO_GPU,
    NO_RUN_TIME,
    Table,
    bad_cell,
    date_time,
    file_stamp,
    name,
    non_negative,
    numbered,
    or_none,
    read_table,
    whole,
)
from rl_sched.workload import Workload

GPUS_PER_NODE = 8
#: Above this a cell of ``cluster_gpu_number.csv`` is a slip, not a virtual cluster.
_MAX_VC_GPUS = 100_000
_COMMON = ("job_id", "vc", "duration")
_DATED = ("gpu_num", "submit_time", "state", "user")
_SECONDS = ("gpus", "submit")
_NO_NAME = "a name that is not empty"
_NO_TIME = "no run time in the log"
_ABSENT = ("", "None", "NULL")


@dataclass(frozen=True)
class HeliosTrace(LogTrace):
    """GPU jobs of a Helios log; times from the first kept arrival.

    ``state`` is the status. Dropped and counted: a second row of a job_id, jobs of no GPU (CPU jobs, half of the
    original log), of run time 0, or without one (empty or ``None``). Other cells that are not of their kind are
    errors. ``start_time``, ``end_time`` and ``queue`` are not read: the column ``duration`` is their difference.

    The layout in seconds has neither users nor states, and ``start`` and ``end`` mean nothing in it.
    """

    needs: ClassVar[str] = "the file cluster_log.csv of one cluster (plain or gzipped)"

    vc: str | None = None  # name of a virtual cluster; None: all of them
    start: str | None = None  # ISO date or time; jobs submitted at or after it
    end: str | None = None  # ... and before this one

    def _log(self) -> Log:
        file = _read(self.path, file_stamp(self.path))
        if not file.dated and (self.start, self.end) != (None, None):
            raise ConfigError(
                f"helios: start and end need a log with dates; {self.path} counts seconds. Leave them out."
            )
        return file.log

    def _tests(self, jobs: Workload) -> dict[str, np.ndarray]:
        return {**other_vc(jobs, self.vc), **outside_dates(jobs, self.start, self.end)}


class _File(NamedTuple):
    log: Log
    dated: bool


@lru_cache(maxsize=4)
def _read(path: str, stamp: tuple[int, int]) -> _File:
    """The parsed file; ``stamp`` only serves to read a changed file again."""
    table = read_table(path, _COMMON)
    dated = "gpu_num" in table.header or "gpus" not in table.header
    used = _DATED if dated else _SECONDS
    table.require(*used)
    ids = table.column("job_id", name, _NO_NAME)
    vcs = table.column("vc", name, _NO_NAME)
    gangs = np.array(table.column(used[0], whole, "a whole number >= 0"))
    submit = np.array(_submissions(table) if dated else table.column("submit", non_negative, "a time in seconds >= 0"))
    seconds = table.column("duration", or_none(non_negative, _ABSENT), "a time in seconds >= 0, or empty")
    duration = np.array(seconds, dtype=np.float64)
    drops = Drops(len(ids))
    drops.drop(TWICE, seen_before(ids))
    drops.drop(NO_GPU, gangs == 0)
    drops.drop(_NO_TIME, np.isnan(duration))
    drops.drop(NO_RUN_TIME, duration <= 0)
    users = table.column("user", name, _NO_NAME) if dated else None
    states = table.column("state", name, _NO_NAME) if dated else None
    rows = drops.left(path)
    vc_names, vc = np.unique([vcs[row] for row in rows], return_inverse=True)
    jobs = Workload.build(
        submit[rows],
        duration[rows],
        gangs[rows],
        user=None if users is None else numbered([users[row] for row in rows])[0],
        vc=vc,
        job_id=[ids[row] for row in rows],
        status=None if states is None else [states[row] for row in rows],
        vc_names=[str(text) for text in vc_names],
        source=path,
    )
    log = Log(jobs, {EMPTY_LINE: table.empty_lines, **drops.counts}, table.ignored(_COMMON + used))
    return _File(log, dated)


def _submissions(table: Table) -> list[float]:
    return table.column("submit_time", date_time, DATE_TIME_RULE)


def helios_cluster(path: str, date: str, gpu_type: str = "gpu") -> ClusterSpec:
    """The cluster on one day, from ``cluster_gpu_number.csv`` (columns ``date``, one per virtual cluster, ``total``).

    A virtual cluster gets nodes of 8 GPUs, and one node with what is left over 8. Those of 0 GPUs on that day are left
    out: their jobs cannot run.

    Args:
        path: The file.
        date: A value of its column ``date``, as ``2020-05-01``.
        gpu_type: The model, which the file does not tell.

    Raises:
        TraceError: The file cannot be read, or all virtual clusters are empty that day.
        ConfigError: The day is not in the file, or the cluster has too many virtual clusters.
    """
    table = read_table(path, ("date",))
    days = table.column("date", str.strip, "a date")
    if date not in days:
        raise ConfigError(f"{path} has no date {date!r}. {did_you_mean(date, days)}")
    row = days.index(date)
    groups = []
    for vc in table.ignored(("date", "total")):
        table.require(vc)
        gpus = table.column(vc, whole, "a whole number >= 0")[row]
        if gpus > _MAX_VC_GPUS:
            raise bad_cell(path, table.lines[row], vc, f"at most {_MAX_VC_GPUS}", gpus)
        full, rest = divmod(gpus, GPUS_PER_NODE)
        sizes = ((full, GPUS_PER_NODE), (1, rest))
        groups += [NodeGroup(gpu_type, nodes, size, vc) for nodes, size in sizes if nodes and size]
    if not groups:
        raise TraceError(f"{path}, line {table.lines[row]}: a virtual cluster must have GPUs on {date}; none has.")
    return ClusterSpec(tuple(groups))
