"""Reader of Shockwave's traces (Zheng et al., NSDI 2023): Gavel's layout with modes of batch size and stated run times.

Twelve tab-separated columns without a header. The batch size of a job changes while it runs (``accordion``, ``gns``),
so that total_steps over a throughput is not its run time: the stated duration is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from rl_sched.traces.gavel import deadlines
from rl_sched.traces.log import Drops, Log, LogTrace
from rl_sched.traces.reading import (
    EMPTY_LINE,
    NO_RUN_TIME,
    file_stamp,
    finite,
    gang_size,
    name,
    non_negative,
    numbered,
    read_headerless,
)
from rl_sched.workload import Workload

COLUMNS = (
    "job_type", "command", "working_directory", "num_steps_arg", "needs_data_dir", "total_steps", "scale_factor",
    "mode", "priority_weight", "SLO", "duration", "arrival_time",
)  # fmt: skip
_USED = ("job_type", "scale_factor", "mode", "priority_weight", "SLO", "duration", "arrival_time")


@dataclass(frozen=True)
class ShockwaveTrace(LogTrace):
    """Jobs of a Shockwave trace; a job class is a model with its batch size and its mode, numbered as they appear.

    A weight of the line becomes ``priority``; an SLO above 0 the deadline arrival + SLO x duration. Job names are line
    numbers from 0. Without ``path`` the file is ``$RL_SCHED_TRACES/shockwave/120_dynamic.trace``.
    """

    default_file: ClassVar[str] = "shockwave/120_dynamic.trace"

    def _log(self) -> Log:
        path = self.file()
        return _read(path, file_stamp(path))


@lru_cache(maxsize=4)
def _read(path: str, stamp: tuple[int, int]) -> Log:
    """The parsed file; ``stamp`` only serves to read a changed file again."""
    table = read_headerless(path, (COLUMNS,), delimiter="\t", quoted=False)
    duration = np.array(table.column("duration", non_negative, "a time in seconds >= 0"))
    submit = np.array(table.column("arrival_time", non_negative, "a time in seconds >= 0"))
    slo = np.array(table.column("SLO", finite, "a finite number; 0 or less for none"))
    gang = np.array(table.column("scale_factor", gang_size, "a whole number of GPUs >= 1"))
    weight = np.array(table.column("priority_weight", non_negative, "a finite weight >= 0"))
    models = zip(table.column("job_type", name, "a name"), table.column("mode", name, "a name"), strict=True)
    klass = np.array(numbered(["\t".join(pair) for pair in models])[0])

    drops = Drops(len(table.rows))
    drops.drop(NO_RUN_TIME, duration <= 0)
    rows = drops.left(path)
    workload = Workload.build(
        submit[rows],
        duration[rows],
        gang[rows],
        job_class=klass[rows],
        priority=weight[rows],
        deadline_s=deadlines(submit[rows], duration[rows], slo[rows]),
        job_id=[str(row) for row in rows],
        source=path,
    )
    return Log(workload, {EMPTY_LINE: table.empty_lines, **drops.counts}, table.ignored(_USED))
