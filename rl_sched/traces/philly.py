"""Reader of the Philly log (Microsoft, 2017) in its flattened CSV form: ``timestamp,duration,num_gpus,...,cluster``.

The log has no job names, no users, no status and no GPU type: failed and killed jobs are in it with their real run
time, and ``cluster`` is a virtual cluster of one machine room. Rows that are equal in every field are kept, since
nothing tells a duplicate from a twin.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from rl_sched.traces.log import Log, LogTrace, other_vc, outside_dates
from rl_sched.traces.reading import (
    DATE_TIME_RULE,
    EMPTY_LINE,
    date_time,
    file_stamp,
    gang_size,
    positive,
    read_table,
)
from rl_sched.workload import Workload

DEFAULT_FILE = "philly/philly_2017-09_10.csv.gz"

_COLUMNS = ("timestamp", "duration", "num_gpus", "cluster")


@dataclass(frozen=True)
class PhillyTrace(LogTrace):
    """Jobs of the Philly log, of one virtual cluster and one period if wanted; times from the first kept arrival.

    ``path`` may be plain or gzipped. Without it the file is ``$RL_SCHED_TRACES/philly/philly_2017-09_10.csv.gz``.
    """

    default_file: ClassVar[str] = DEFAULT_FILE

    vc: str | None = None  # a name of the column ``cluster``; None: all of them
    start: str | None = None  # ISO date or time; jobs submitted at or after it
    end: str | None = None  # ... and before this one

    def _log(self) -> Log:
        path = self.file()
        return _read(path, file_stamp(path))

    def _tests(self, jobs: Workload) -> dict[str, np.ndarray]:
        return {**other_vc(jobs, self.vc), **outside_dates(jobs, self.start, self.end)}


@lru_cache(maxsize=4)
def _read(path: str, stamp: tuple[int, int]) -> Log:
    """The parsed file; ``stamp`` only serves to read a changed file again."""
    table = read_table(path, _COLUMNS)
    names, vc = np.unique(table.column("cluster", str.strip, "a name"), return_inverse=True)
    jobs = Workload.build(
        table.column("timestamp", date_time, DATE_TIME_RULE),
        table.column("duration", positive, "a time in seconds > 0"),
        table.column("num_gpus", gang_size, "a whole number >= 1"),
        vc=vc,
        vc_names=[str(name) for name in names],
        source=path,
    )
    return Log(jobs, {EMPTY_LINE: table.empty_lines}, table.ignored(_COLUMNS))
