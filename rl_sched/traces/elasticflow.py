"""Reader of ElasticFlow's traces (Gu et al., ASPLOS 2023): jobs with deadlines, a CSV with a header.

``ddl`` is an absolute time, 0.5 to 1.5 run times after the submission: about half of the deadlines cannot be met on
the stated number of GPUs even without waiting.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from rl_sched.traces.log import Drops, Log, LogTrace
from rl_sched.traces.reading import (
    EMPTY_LINE,
    NO_RUN_TIME,
    Table,
    file_stamp,
    gang_size,
    name,
    non_negative,
    numbered,
    or_none,
    read_table,
    whole,
)
from rl_sched.traces.scaling import Curves, read_curves
from rl_sched.traces.unique import unique_names
from rl_sched.workload import Workload

#: Reason for dropping a row.
NO_THROUGHPUT = "no throughput for this model, batch size and number of GPUs"

REQUIRED = ("job_id", "submit_time", "model_name", "ddl", "batch_size", "num_gpu", "duration")
#: Columns of the wider variants.
_STEPS, _REAL_STEPS, _REAL_DURATION, _BEST_EFFORT = "iteration", "real_iteration", "real_duration", "best_effort"
_SECONDS = "a time in seconds >= 0"


@dataclass(frozen=True)
class ElasticFlowTrace(LogTrace):
    """Jobs of an ElasticFlow trace; a job class is a model with its batch size, numbered as they appear.

    In the wider variant ``real_duration`` is the run time and ``duration`` what was expected: it becomes
    ``estimate_s``. A row that is marked ``best_effort`` has no deadline.

    With ``throughputs``, a folder of ``MODEL.csv`` files, run times are the iterations over the throughput measured
    there: the same jobs on another GPU type. Without ``path`` the file is
    ``$RL_SCHED_TRACES/elasticflow/elasticVpollux_e.csv``.
    """

    default_file: ClassVar[str] = "elasticflow/elasticVpollux_e.csv"

    throughputs: str | None = None  # folder of scaling curves, for run times on another GPU type

    def _log(self) -> Log:
        path = self.file()
        curves = None if self.throughputs is None else read_curves(self.throughputs)
        return _parse(_table(path, file_stamp(path), curves is not None), curves)


@lru_cache(maxsize=4)
def _table(path: str, stamp: tuple[int, int], with_steps: bool) -> Table:
    """The file as text; ``stamp`` only serves to read a changed file again."""
    return read_table(path, (*REQUIRED, _STEPS) if with_steps else REQUIRED)


def _parse(table: Table, curves: Curves | None) -> Log:
    has = table.header.__contains__
    stated = np.array(table.column("duration", non_negative, _SECONDS))
    duration, used = stated, list(REQUIRED)
    if has(_REAL_DURATION):
        duration = np.array(table.column(_REAL_DURATION, non_negative, _SECONDS))
        used.append(_REAL_DURATION)
    gang = np.array(table.column("num_gpu", gang_size, "a whole number >= 1"))
    batch = table.column("batch_size", gang_size, "a whole number >= 1")
    kinds = list(zip(table.column("model_name", name, "a name"), batch, strict=True))
    drops = Drops(len(kinds))
    if curves is not None:
        steps_column = _REAL_STEPS if has(_REAL_STEPS) else _STEPS
        used.append(steps_column)
        steps = np.array(table.column(steps_column, whole, "a whole number of iterations >= 0"))
        rates = np.array([curves.rates.get(k, {}).get(int(g), 0.0) for k, g in zip(kinds, gang, strict=True)])
        drops.drop(NO_THROUGHPUT, rates == 0)
        with np.errstate(over="ignore"):  # absurd throughputs give infinite times, which Workload.build refuses
            duration = np.divide(steps, rates, out=np.zeros(len(rates)), where=rates > 0)
    deadline = _deadlines(table, used)
    estimate = stated if has(_REAL_DURATION) and curves is None else None
    drops.drop(NO_RUN_TIME, (duration <= 0) if estimate is None else (duration <= 0) | (estimate <= 0))
    rows = drops.left(table.path)
    ids = unique_names(table, "job_id")
    klass = np.array(numbered([f"{model}\t{size}" for model, size in kinds])[0])
    jobs = Workload.build(
        np.array(table.column("submit_time", non_negative, _SECONDS))[rows],
        duration[rows],
        gang[rows],
        job_class=klass[rows],
        deadline_s=deadline[rows],
        estimate_s=None if estimate is None else estimate[rows],
        job_id=[ids[row] for row in rows],
        source=table.path,
    )
    return Log(jobs, {EMPTY_LINE: table.empty_lines, **drops.counts}, table.ignored(used))


def _deadlines(table: Table, used: list[str]) -> np.ndarray:
    """(n,) absolute deadlines, inf for none."""
    stated = table.column("ddl", or_none(non_negative), "a time in seconds >= 0, or empty")
    deadline = np.array([np.inf if value is None else value for value in stated])
    if _BEST_EFFORT in table.header:
        used.append(_BEST_EFFORT)
        free = table.column(_BEST_EFFORT, whole, "0 or 1")
        deadline[np.array(free) > 0] = np.inf
    return deadline
