"""Reader of the PAI log (Alibaba cluster-trace-gpu-v2020): a folder of headerless tables, joined to jobs.

A job has tasks (workers, parameter servers, ...), a task so many equal instances. PAI starts the tasks of a job
together in practice, and so one job is one gang here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from rl_sched.cluster import GPU_TYPES, ClusterSpec, GpuType
from rl_sched.errors import TraceError
from rl_sched.traces.gpu_spec import allowed_types, check_gpu_types
from rl_sched.traces.log import TWICE, Drops, Log, LogTrace, seen_before
from rl_sched.traces.machines import cluster_of
from rl_sched.traces.reading import (
    CENSORED,
    EMPTY_LINE,
    NEVER_STARTED,
    NO_GPU,
    NO_RUN_TIME,
    file_stamp,
    name,
    non_negative,
    numbered,
    or_none,
    read_headerless,
    whole,
)
from rl_sched.workload import WHOLE_GPU, Workload

#: GPU types of the machine list, in lower case.
TYPES = ("misc", "p100", "t4", "v100", "v100m32")
#: Old cards (K40m, K80, M60) under one name. Assumed: rates, memory and power of a K80.
MISC = GpuType("misc", GPU_TYPES["k80"].flops, memory_gb=12, idle_w=30, busy_w=150, price_per_h=0.45)

JOB_TABLE, TASK_TABLE, MACHINES = "pai_job_table", "pai_task_table", "pai_machine_spec"
JOB_COLUMNS = ("job_name", "inst_id", "user", "status", "start_time", "end_time")
TASK_COLUMNS = (
    "job_name", "task_name", "inst_num", "status", "start_time", "end_time", "plan_cpu", "plan_mem", "plan_gpu",
    "gpu_type",
)  # fmt: skip
MACHINE_COLUMNS = ("machine", "gpu_type", "cap_cpu", "cap_mem", "cap_gpu")
_JOB_USED = ("job_name", "user", "status", "start_time")
_TASK_USED = ("job_name", "inst_num", "start_time", "end_time", "plan_gpu", "gpu_type")
_ENDINGS = (".csv", ".csv.gz", "", ".gz", ".tar.gz")  # in the order in which they are looked for
_NAMES_NO_GPU = ("", "CPU")  # texts of gpu_type
_TIME_RULE = "a time in seconds >= 0, or empty"
_SLACK = 1e-9  # of a GPU: sums of shares such as 0.1 + 0.2 are not exact


@dataclass(frozen=True)
class PaiTrace(LogTrace):
    """Jobs of the PAI log; ``path`` is the folder of ``pai_job_table`` and ``pai_task_table``.

    Each table is looked for as ``.csv``, ``.csv.gz``, without an ending, ``.gz`` and ``.tar.gz`` (as published).
    Times from the first kept arrival (``rebase=False``: the log's own clock); virtual clusters do not exist.

    Submission is the job's ``start_time``. The demand is the sum of inst_num * plan_gpu / 100 over its tasks: below
    one GPU a share of one (``gpu_milli``), above one rounded up to whole GPUs (the notes count those jobs). The run
    time goes from the first start to the last end of the tasks that use GPUs. A class of jobs is a ``gpu_type`` of
    these tasks: speed 1 there (everywhere if none is named), 0 elsewhere.

    Dropped and counted: a second row of a job, jobs without tasks, of no GPU, without a submission time, whose GPU
    tasks state no number of instances, lie on different GPU types, never started, or have no end (still running), and
    jobs of no run time. Task rows of jobs that are not in the job table are counted in the notes. Cells that are not
    of their kind are errors.
    """

    needs: ClassVar[str] = f"the folder that holds {JOB_TABLE} and {TASK_TABLE}"

    gpu_types: tuple[str, ...] | None = None  # columns of the speed table; None: TYPES; (): leave gpu_type out

    def __post_init__(self) -> None:
        super().__post_init__()
        check_gpu_types(self.gpu_types)

    def _log(self) -> Log:
        files = find_table(self.path, JOB_TABLE), find_table(self.path, TASK_TABLE)
        return _read(self.path, files, tuple(map(file_stamp, files)), self.gpu_types)


def find_table(folder: str, stem: str) -> str:
    """Path of a table in the folder.

    Raises:
        TraceError: There is none.
    """
    for ending in _ENDINGS:
        if (Path(folder) / (stem + ending)).is_file():
            return str(Path(folder) / (stem + ending))
    raise TraceError(
        f"The folder {folder!r} must hold {stem} ({', '.join(stem + ending for ending in _ENDINGS)}); it does not. "
        "Check the path."
    )


class _Tasks(NamedTuple):
    """The task table, summed over the GPU tasks of each job. n jobs; nan: no task says."""

    has_tasks: np.ndarray  # (n,) bool
    demand: np.ndarray  # (n,) GPUs; nan: a GPU task states no number of instances
    start_s: np.ndarray  # (n,)
    end_s: np.ndarray  # (n,)
    running: np.ndarray  # (n,) bool: a task has a start and no end
    types: list[frozenset[str]]  # (n,)
    strangers: int  # rows of other jobs
    empty_lines: int


@lru_cache(maxsize=2)
def _read(path: str, files: tuple[str, str], stamps: tuple[object, ...], gpu_types: tuple[str, ...] | None) -> Log:
    """The joined tables; the stamps only serve to read changed files again."""
    table = read_headerless(files[0], [JOB_COLUMNS], keep=_JOB_USED)
    names = table.column("job_name", name, "a name that is not empty")
    submit = np.array(table.column("start_time", or_none(non_negative), _TIME_RULE), dtype=np.float64)
    users = table.column("user", str.strip, "text")
    status = table.column("status", str.strip, "text")
    tasks = _read_tasks(files[1], names)
    duration = tasks.end_s - tasks.start_s
    drops = Drops(len(names))
    drops.drop(TWICE, seen_before(names))
    drops.drop("no task in the log", ~tasks.has_tasks)
    drops.drop("GPU task without a number of instances", np.isnan(tasks.demand))
    drops.drop(NO_GPU, tasks.demand <= 0)
    drops.drop("tasks on different GPU types", [len(types) > 1 for types in tasks.types])
    drops.drop("no submission time", np.isnan(submit))
    drops.drop(NEVER_STARTED, np.isnan(tasks.start_s))
    drops.drop(CENSORED, tasks.running)
    drops.drop(NO_RUN_TIME, ~(duration > 0))
    allowed = allowed_types(tasks.types, gpu_types, TYPES)
    drops.drop("gpu_type is none of gpu_types", allowed.nowhere)
    rows = drops.left(path)
    demand = tasks.demand[rows]
    shared = demand < 1 - _SLACK
    gangs = np.where(shared, 1, np.ceil(demand - _SLACK))
    jobs = Workload.build(
        submit[rows],
        duration[rows],
        gangs,
        gpu_milli=np.where(shared, np.clip(np.rint(demand * WHOLE_GPU), 1, WHOLE_GPU), WHOLE_GPU),
        job_class=None if allowed.job_class is None else allowed.job_class[rows],
        speed=allowed.speed,
        gpu_types=allowed.gpu_types,
        user=numbered([users[row] for row in rows])[0],
        job_id=[names[row] for row in rows],
        status=[status[row] for row in rows],
        source=path,
    )
    rounded = int((~shared & (gangs > demand + _SLACK)).sum())
    notes = {
        f"{rounded} jobs ask for more than one GPU but no whole number of them, and were rounded up.": rounded,
        f"{tasks.strangers} task rows belong to no job of the job table.": tasks.strangers,
        f"{tasks.empty_lines} empty lines in the task table.": tasks.empty_lines,
    }
    return Log(
        jobs,
        {EMPTY_LINE: table.empty_lines, **drops.counts},
        unit="jobs",
        notes=tuple(note for note, count in notes.items() if count),
    )


def _read_tasks(path: str, names: list[str]) -> _Tasks:
    table = read_headerless(path, [TASK_COLUMNS], keep=_TASK_USED)
    n = len(names)
    index: dict[str, int] = {}
    for i, text in enumerate(names):
        index.setdefault(text, i)
    job = np.array([index.get(text, -1) for text in table.column("job_name", name, "a name that is not empty")])
    percent = table.column("plan_gpu", or_none(non_negative), "a percentage of one GPU >= 0, or empty")
    gpus = np.array([value or 0.0 for value in percent]) / 100
    instances, start, end = (
        np.array(table.column(column, or_none(parse), f"{rule}, or empty"), dtype=np.float64)
        for column, parse, rule in (
            ("inst_num", whole, "a whole number >= 0"),
            ("start_time", non_negative, "a time in seconds >= 0"),
            ("end_time", non_negative, "a time in seconds >= 0"),
        )
    )
    kinds = table.column("gpu_type", str.strip, "text")
    known = job >= 0
    has_tasks = np.zeros(n, dtype=bool)
    has_tasks[job[known]] = True
    on_gpu = known & (gpus > 0)
    row = job[on_gpu]
    demand = np.zeros(n)
    np.add.at(demand, row, (instances * gpus)[on_gpu])
    first, last = np.full(n, np.nan), np.full(n, np.nan)
    np.fmin.at(first, row, start[on_gpu])
    np.fmax.at(last, row, end[on_gpu])
    running = np.zeros(n, dtype=bool)
    running[job[on_gpu & ~np.isnan(start) & np.isnan(end)]] = True
    types: list[frozenset[str]] = [frozenset()] * n
    for task in np.flatnonzero(on_gpu):
        if kinds[task] not in _NAMES_NO_GPU:
            types[job[task]] |= {kinds[task].lower()}
    return _Tasks(has_tasks, demand, first, last, running, types, int((~known).sum()), table.empty_lines)


def pai_cluster(path: str) -> ClusterSpec:
    """The cluster of ``pai_machine_spec``: the file, or the folder that holds it. Machines without GPUs are left out.

    Raises:
        TraceError: The list cannot be read, names an unknown type, or has no GPU.
    """
    path = find_table(path, MACHINES) if Path(path).is_dir() else path
    return cluster_of(read_headerless(path, [MACHINE_COLUMNS]), "gpu_type", "cap_gpu", (MISC,))
