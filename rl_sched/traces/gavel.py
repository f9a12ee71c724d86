"""Reader of Gavel's traces (Narayanan et al., OSDI 2020): jobs in training steps, with a throughput per GPU type.

Files are tab-separated without a header, in two layouts that are told apart by the number of columns. A line states
steps, not seconds: run times and speeds come from the table of throughputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, NamedTuple

import numpy as np

from rl_sched.errors import ConfigError
from rl_sched.traces.log import Drops, Log, LogTrace
from rl_sched.traces.reading import (
    EMPTY_LINE,
    Table,
    file_stamp,
    finite,
    gang_size,
    name,
    non_negative,
    read_headerless,
)
from rl_sched.traces.throughputs import JobClass, Throughputs, find_throughputs, read_throughputs
from rl_sched.workload import Workload

#: Reasons for dropping a row.
NO_THROUGHPUT = "no throughput for this model and number of GPUs"
FITS_NOWHERE = "fits none of the GPU types"

MSR_COLUMNS = (
    "job_type", "command", "num_steps_arg", "needs_data_dir", "total_steps", "arrival_time", "scale_factor",
)  # fmt: skip
PHYSICAL_COLUMNS = (
    "job_type", "command", "working_directory", "num_steps_arg", "needs_data_dir", "total_steps", "scale_factor",
    "priority_weight", "SLO", "arrival_time",
)  # fmt: skip
_USED = ("job_type", "total_steps", "scale_factor", "priority_weight", "SLO", "arrival_time")


class GavelDetails(NamedTuple):
    """What a ``Workload`` has no column for. n jobs in the order of ``GavelTrace.load``, C classes, T types."""

    classes: tuple[JobClass, ...]  # (C,) by the numbers of ``Workload.job_class``
    total_steps: np.ndarray  # (n,) int64
    reference_steps_per_s: np.ndarray  # (C,) throughput at speed 1
    spread_speed: np.ndarray  # (C, T) speed of a gang spread over machines, 0 where it was not measured


class _File(NamedTuple):
    """A whole file: its log, and the columns of ``GavelDetails`` for all of its jobs."""

    log: Log
    details: GavelDetails


@dataclass(frozen=True)
class GavelTrace(LogTrace):
    """Jobs of a Gavel trace; a job class is a model with its batch size on so many GPUs.

    ``duration_s`` is total_steps over the throughput on the ``reference`` type (for a class that does not fit there:
    on the fastest of ``gpu_types``), and ``speed`` the throughput on each type over that one. A weight of the line
    becomes ``priority``; an SLO above 0 the deadline arrival + SLO x ``duration_s``. Job names are line numbers from 0,
    as Gavel numbers its jobs.

    Without ``path`` the file is ``$RL_SCHED_TRACES/gavel/msr_seed0_6c71a0.trace.gz``.
    """

    default_file: ClassVar[str] = "gavel/msr_seed0_6c71a0.trace.gz"

    throughputs: str = ""  # JSON; "": $RL_SCHED_TRACES/throughputs/gavel_simulation_throughputs.json.gz
    gpu_types: tuple[str, ...] = ("v100", "p100", "k80")  # columns of the speed table
    reference: str = "v100"  # the type whose run time is ``duration_s``; need not be one of gpu_types

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.gpu_types or len(set(self.gpu_types)) != len(self.gpu_types):
            raise ConfigError(f"gavel: gpu_types must name at least one type, each once; it is {self.gpu_types!r}.")

    def details(self) -> GavelDetails:
        """Steps, classes and spread speeds of the jobs that ``load`` returns, in the same order."""
        file = self._file()
        keep, _ = self._select(file.log)
        return file.details._replace(total_steps=file.details.total_steps[keep])

    def _log(self) -> Log:
        return self._file().log

    def _file(self) -> _File:
        path, table = self.file(), find_throughputs(self.throughputs)
        return _read(path, file_stamp(path), table, file_stamp(table), tuple(self.gpu_types), self.reference)


@lru_cache(maxsize=8)
def _read(
    path: str,
    stamp: tuple[int, int],
    table_path: str,
    table_stamp: tuple[int, int],
    gpu_types: tuple[str, ...],
    reference: str,
) -> _File:
    """The parsed file; the stamps only serve to read changed files again."""
    known = read_throughputs(table_path)
    known.check_types((*gpu_types, reference))
    table = read_headerless(path, (MSR_COLUMNS, PHYSICAL_COLUMNS), delimiter="\t", quoted=False)
    steps = np.array(table.column("total_steps", gang_size, "a whole number of steps >= 1"))
    submit = np.array(table.column("arrival_time", non_negative, "a time in seconds >= 0"))
    gang = table.column("scale_factor", gang_size, "a whole number of GPUs >= 1")
    jobs = [JobClass(*pair) for pair in zip(table.column("job_type", name, "a name"), gang, strict=True)]
    priority, slo = _weights(table)

    drops = Drops(len(jobs))
    drops.drop(NO_THROUGHPUT, [not known.knows(job, gpu_types) for job in jobs])
    drops.drop(FITS_NOWHERE, [not known.table([job], gpu_types).any() for job in jobs])
    rows = drops.left(path)
    classes = list(dict.fromkeys(jobs[row] for row in rows))
    number = {job: i for i, job in enumerate(classes)}
    klass = np.array([number[jobs[row]] for row in rows])
    with np.errstate(over="ignore"):  # absurd throughputs give infinite times, which Workload.build refuses
        at_speed_1, speed = _speeds(known, classes, gpu_types, reference)
        duration = steps[rows] / at_speed_1[klass]
    workload = Workload.build(
        submit[rows],
        duration,
        [jobs[row].num_gpus for row in rows],
        job_class=klass,
        priority=None if priority is None else priority[rows],
        deadline_s=None if slo is None else deadlines(submit[rows], duration, slo[rows]),
        speed=speed,
        gpu_types=gpu_types,
        job_id=[str(row) for row in rows],
        source=path,
    )
    order = np.argsort(submit[rows], kind="stable")  # that of Workload.build
    spread = known.table(classes, gpu_types, spread=True) / at_speed_1[:, None]
    details = GavelDetails(tuple(classes), steps[rows][order], at_speed_1, spread)
    dropped = {EMPTY_LINE: table.empty_lines, **drops.counts}
    return _File(Log(workload, dropped, table.ignored(_USED)), details)


def _weights(table: Table) -> tuple[np.ndarray | None, np.ndarray | None]:
    """(n,) priority weights and SLOs; None in the layout that has none."""
    if "SLO" not in table.header:
        return None, None
    weights = table.column("priority_weight", non_negative, "a finite weight >= 0")
    return np.array(weights), np.array(table.column("SLO", finite, "a finite number; 0 or less for none"))


def deadlines(submit_s: np.ndarray, duration_s: np.ndarray, slo: np.ndarray) -> np.ndarray:
    """(n,) absolute deadlines: arrival + SLO x run time without waiting; inf where the SLO is not above 0."""
    with np.errstate(over="ignore"):  # a deadline beyond all numbers is none
        return np.where(slo > 0, submit_s + slo * duration_s, np.inf)


def _speeds(
    known: Throughputs, classes: list[JobClass], gpu_types: tuple[str, ...], reference: str
) -> tuple[np.ndarray, np.ndarray]:
    """(C,) throughput at speed 1, and (C, T) speeds; every class must fit one of the types."""
    rates = known.table(classes, gpu_types)
    base = known.table(classes, (reference,))[:, 0]
    base = np.where(base > 0, base, rates.max(axis=1))
    return base, rates / base[:, None]
