"""Reader of the normalised CSV ``arrival_time,runtime,gpus,priority`` (seconds, seconds, GPUs, weight).

Other tools write their logs in this form. Two of its habits are worth knowing: requests below one GPU were often cut
to ``gpus`` = 0, and ``priority`` is often a function of ``gpus``, hence no signal of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from rl_sched.errors import TraceError
from rl_sched.traces.log import Drops, Log, LogTrace
from rl_sched.traces.reading import EMPTY_LINE, NO_GPU, file_stamp, finite, non_negative, read_table
from rl_sched.workload import WHOLE_GPU, Workload

#: Reasons for dropping a row.
TOO_SHORT = "run time of 1 s or less"
NOT_WHOLE = "more than one GPU, but no whole number of them"

REQUIRED = ("arrival_time", "runtime")
_GPUS, _PRIORITY = "gpus", "priority"
_MIN_RUN_TIME_S = 1.0  # rows must run longer, by the rule of the format
_MAX_GPUS = 2.0**31
#: What an absent column means, by the rule of the format.
_DEFAULTS = {_GPUS: 1.0, _PRIORITY: 1.0}


@dataclass(frozen=True)
class DrlHetTrace(LogTrace):
    """Jobs of a normalised CSV. A demand below one GPU becomes a share of one (``gpu_milli``); 0 is dropped, counted.

    Raises:
        ConfigError: No path was given.
    """

    needs: ClassVar[str] = "a CSV file with the columns arrival_time, runtime and, if wanted, gpus and priority"

    def _log(self) -> Log:
        return _read(self.path, file_stamp(self.path))


@lru_cache(maxsize=4)
def _read(path: str, stamp: tuple[int, int]) -> Log:
    """The parsed file; ``stamp`` only serves to read a changed file again."""
    table = read_table(path, REQUIRED)
    for column in _DEFAULTS:
        if table.header.count(column) > 1:
            raise TraceError(f"{path}: the header may have one column {column!r}; it has two of them. Rename one.")
    notes = tuple(f"No column {name}: {value:g} for every job." for name, value in _DEFAULTS.items()
                  if name not in table.header)  # fmt: skip
    n = len(table.rows)
    gpus, priority = (
        np.array(table.column(column, parse, rule)) if column in table.header else np.full(n, _DEFAULTS[column])
        for column, parse, rule in (
            (_GPUS, _demand, f"a number of GPUs in 0..{_MAX_GPUS:.0f}, such as 0.5 or 4"),
            (_PRIORITY, finite, "a finite number"),
        )
    )
    submit = np.array(table.column("arrival_time", non_negative, "a time in seconds >= 0"))
    runtime = np.array(table.column("runtime", non_negative, "a time in seconds >= 0"))
    # A share is a whole number of thousandths; the smallest one stands for anything below it.
    milli = np.where(gpus < 1, np.maximum(np.rint(gpus * WHOLE_GPU), 1), WHOLE_GPU)

    drops = Drops(n)
    drops.drop(TOO_SHORT, runtime <= _MIN_RUN_TIME_S)
    drops.drop(NO_GPU, gpus == 0)
    drops.drop(NOT_WHOLE, (gpus > 1) & (gpus != np.floor(gpus)))
    rows = drops.left(path)
    jobs = Workload.build(
        submit[rows],
        runtime[rows],
        np.maximum(gpus, 1)[rows],
        priority=priority[rows],
        gpu_milli=milli[rows],
        source=path,
    )
    dropped = {EMPTY_LINE: table.empty_lines, **drops.counts}
    return Log(jobs, dropped, table.ignored((*REQUIRED, _GPUS, _PRIORITY)), notes=notes)


def _demand(text: str) -> float:
    value = non_negative(text)
    if value > _MAX_GPUS:
        raise ValueError
    return value
