"""Reader of the ``openb`` log of shared GPUs (Alibaba cluster-trace-gpu-v2023): a list of pods, and one of nodes.

A pod is a job. It asks for whole GPUs, or for a share of one (``gpu_milli``), and may name the GPU models on which it
can run. There are no users and no gangs over several pods.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from rl_sched.cluster import GPU_TYPES, ClusterSpec, GpuType
from rl_sched.errors import ConfigError
from rl_sched.traces.gpu_spec import allowed_types, check_gpu_types
from rl_sched.traces.log import TWICE, Drops, Log, LogTrace, seen_before
from rl_sched.traces.machines import cluster_of
from rl_sched.traces.reading import (
    CENSORED,
    EMPTY_LINE,
    NEVER_STARTED,
    NO_GPU,
    NO_RUN_TIME,
    Table,
    bad_cell,
    file_stamp,
    name,
    non_negative,
    or_none,
    read_table,
    whole,
)
from rl_sched.workload import WHOLE_GPU, Workload

#: Models of the node list, in lower case.
TYPES = ("v100m16", "v100m32", "p100", "t4", "a10", "g2", "g3")
#: The log hides what these models are. Assumed: rates, memory and power of a 32 GB V100. A job that names its types
#: runs at speed 1 on all of them, so that the rate plays a part only for lists without any named type.
UNDISCLOSED = tuple(
    GpuType(code, GPU_TYPES["v100m32"].flops, memory_gb=32, idle_w=40, busy_w=300, price_per_h=2.48)
    for code in ("g1", "g2", "g3")
)

_DAY_S = 86_400.0
_SIZES = ("name", "num_gpu", "gpu_milli")
_TIMES = ("gpu_spec", "pod_phase", "creation_time", "deletion_time", "scheduled_time")
_TIME_RULE = "a time in seconds >= 0, or empty"


@dataclass(frozen=True)
class OpenbTrace(LogTrace):
    """GPU pods of one pod list; times from the first kept arrival (``rebase=False``: the log's own clock).

    Submission is ``creation_time`` and the run time ``deletion_time - scheduled_time``; ``pod_phase`` is the status.
    Dropped and counted: pods of no GPU, pods that never started (empty ``scheduled_time``), without an end, or of no
    run time. A pod deleted at the last time of the file was still running: it is kept, with the run time seen, and
    counted in the notes. Shares outside 1..1000, a share below 1000 with several GPUs, and cells that are not of their
    kind are errors.

    A class of jobs is a set of models in ``gpu_spec``: speed 1 on these (on all for an empty one), 0 elsewhere. Where
    no pod names a model there is no speed table, and the jobs run on any cluster.

    A list without times (the ``multigpu`` files) is a packing list: all pods arrive at time 0, in file order, and run
    ``packing_duration_s`` each.

    Without ``path`` the file is ``$RL_SCHED_TRACES/alibaba_openb_2023/openb_pod_list_default.csv.gz``.
    """

    default_file: ClassVar[str] = "alibaba_openb_2023/openb_pod_list_default.csv.gz"

    start_day: float | None = None  # days of the log's clock; pods created at or after it
    end_day: float | None = None  # ... and before this one
    max_duration_s: float | None = None  # longer pods are dropped and counted; 25 of a month and more hold most GPU-h
    gpu_types: tuple[str, ...] | None = None  # columns of the speed table; None: TYPES; (): leave gpu_spec out
    packing_duration_s: float = 3600.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_gpu_types(self.gpu_types)
        if not 0 < self.packing_duration_s < float("inf"):
            raise ConfigError(f"openb: packing_duration_s must be finite and > 0; it is {self.packing_duration_s!r}.")

    def _log(self) -> Log:
        path = self.file()
        return _read(path, file_stamp(path), self.gpu_types, self.packing_duration_s)

    def _tests(self, jobs: Workload) -> dict[str, np.ndarray]:
        tests = {}
        if self.start_day is not None:
            tests["before start_day"] = jobs.submit_s < self.start_day * _DAY_S
        if self.end_day is not None:
            tests["at or after end_day"] = jobs.submit_s >= self.end_day * _DAY_S
        if self.max_duration_s is not None:
            tests["longer than max_duration_s"] = jobs.duration_s > self.max_duration_s
        return tests


@lru_cache(maxsize=4)
def _read(path: str, stamp: tuple[int, int], gpu_types: tuple[str, ...] | None, packing_duration_s: float) -> Log:
    """The parsed file; ``stamp`` only serves to read a changed file again."""
    table = read_table(path, _SIZES)
    timed = "creation_time" in table.header
    if timed:
        table.require(*_TIMES)
    names = table.column("name", name, "a name that is not empty")
    gangs = np.array(table.column("num_gpu", whole, "a whole number >= 0"))
    shares = np.array(_shares(table, gangs))
    drops = Drops(len(names))
    drops.drop(TWICE, seen_before(names))
    drops.drop(NO_GPU, gangs == 0)
    notes = []
    if timed:
        submit, duration, at_end = _times(table, drops)
        phases = table.column("pod_phase", str.strip, "text")
        types = allowed_types(table.column("gpu_spec", _models, "text"), gpu_types, TYPES)
        drops.drop("gpu_spec names none of gpu_types", types.nowhere)
        if types.unknown:
            notes.append(f"Models named in gpu_spec that are not among gpu_types: {', '.join(types.unknown)}.")
        cut = int((drops.keep & at_end).sum())
        if cut:
            notes.append(f"{cut} pods ran until the log's last time: their run time is what was seen of it.")
    else:
        submit, duration = np.zeros(len(names)), np.full(len(names), packing_duration_s)
        phases, types = None, allowed_types([frozenset()] * len(names), gpu_types, TYPES)
        notes.append(f"The file has no times: all pods arrive at time 0 and run {packing_duration_s:g} s.")
    rows = drops.left(path)
    jobs = Workload.build(
        submit[rows],
        duration[rows],
        gangs[rows],
        gpu_milli=shares[rows],
        job_class=None if types.job_class is None else types.job_class[rows],
        speed=types.speed,
        gpu_types=types.gpu_types,
        job_id=[names[row] for row in rows],
        status=None if phases is None else [phases[row] for row in rows],
        source=path,
    )
    used = _SIZES + _TIMES
    return Log(jobs, {EMPTY_LINE: table.empty_lines, **drops.counts}, table.ignored(used), "pods", tuple(notes))


def _models(text: str) -> frozenset[str]:
    """``V100M16|V100M32`` as a set, in lower case; empty = any."""
    return frozenset(part.strip().lower() for part in text.split("|") if part.strip())


def _shares(table: Table, gangs: np.ndarray) -> list[int]:
    """(n,) thousandths of one GPU."""
    shares = table.column("gpu_milli", whole, f"a whole number in 0..{WHOLE_GPU}")
    for share, gang, line in zip(shares, gangs, table.lines, strict=True):
        if gang and not (1 <= share <= WHOLE_GPU and (share == WHOLE_GPU or gang == 1)):
            rule = f"in 1..{WHOLE_GPU} for one GPU, {WHOLE_GPU} for several"
            raise bad_cell(table.path, line, "gpu_milli", f"{rule}; num_gpu is {gang}", share)
    return shares


def _times(table: Table, drops: Drops) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(n,) submission and run time of the rows left, and whether the row ran until the last time of the file."""
    created = np.array(table.column("creation_time", non_negative, "a time in seconds >= 0"))
    deleted, scheduled = (
        np.array(table.column(column, or_none(non_negative), _TIME_RULE), dtype=np.float64)
        for column in ("deletion_time", "scheduled_time")
    )
    drops.drop(NEVER_STARTED, np.isnan(scheduled))
    drops.drop(CENSORED, np.isnan(deleted))
    duration = deleted - scheduled
    drops.drop(NO_RUN_TIME, duration <= 0)
    return created, duration, deleted == np.max(deleted, initial=-np.inf, where=~np.isnan(deleted))


def openb_cluster(path: str, types: Sequence[GpuType] = UNDISCLOSED) -> ClusterSpec:
    """The cluster of a node list (columns ``sn, gpu, model``); nodes without GPUs are left out.

    Args:
        path: The list, plain or gzipped.
        types: GPU types beside those that the project knows; the log's undisclosed codes by default.

    Raises:
        TraceError: The list cannot be read, names an unknown model, or has no GPU.
    """
    return cluster_of(read_table(path, ("sn", "gpu", "model")), "model", "gpu", types)
