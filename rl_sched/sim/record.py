"""The state of simulated clusters: one structured NumPy record per environment.

Notation: N environments, J jobs, G GPUs, M nodes, T GPU types, C job classes, R bucket rows, B words of a node set,
H heap slots, A slots of GPU lists.

A record holds everything that changes while a cluster runs, and the few constants the kernels need beside it, so
that a snapshot is one assignment. Kernels see the record through strided views (``State.views``) whose types do
not carry the sizes: the kernels compile once, whatever J, G and N are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rl_sched.cluster import ClusterSpec
from rl_sched.errors import WorkloadError
from rl_sched.sim.rules import DISPATCHES, PLACEMENTS, TIE_ORDERS, Rules
from rl_sched.workload import Workload

NO_JOB = -1

HEAD = np.dtype(
    [
        ("now", "f8"),  # s
        ("job_seconds", "f8"),  # integral of jobs in the system over time since the reset, s
        ("busy_gpu_s", "f8"),  # integral of busy GPUs over time since the reset, s
        ("waiting_work", "f8"),  # GPU-seconds (fastest type) of arrived jobs that have not started
        ("running_work", "f8"),  # ... of jobs that run
        ("done_work", "f8"),  # GPU-seconds (fastest type) of finished jobs
        ("total_work", "f8"),  # GPU-seconds (fastest type) of all jobs
        ("horizon_s", "f8"),  # the episode is cut here; inf = never
        ("last_submit_s", "f8"),  # last arrival of the workload
        ("num_jobs", "i4"),
        ("num_arrived", "i4"),
        ("num_waiting", "i4"),
        ("num_running", "i4"),
        ("num_done", "i4"),
        ("first_waiting", "i4"),  # head of the list of waiting jobs, oldest first
        ("last_waiting", "i4"),
        ("window_len", "i4"),  # waiting jobs that may be started
        ("window_last", "i4"),  # youngest of them
        ("heap_len", "i4"),
        ("alloc_len", "i4"),
        ("decisions", "i4"),
        ("max_steps", "i4"),  # the episode is cut after that many decisions; <= 0 = never
        ("placement", "i4"),
        ("window", "i4"),
        ("one_start", "i4"),
        ("heapq_ties", "i4"),
        ("max_node", "i4"),  # most GPUs of any node
        ("num_classes", "i4"),
    ],
    align=True,
)
JOB = np.dtype(
    [
        ("submit_s", "f8"),
        ("start_s", "f8"),  # nan before the start
        ("finish_s", "f8"),  # planned at the start; nan before
        ("work", "f8"),  # GPU-seconds on the fastest type
        ("gang", "i4"),
        ("klass", "i4"),
        ("next", "i4"),  # younger neighbour in the list of waiting jobs
        ("prev", "i4"),
        ("type", "i4"),  # GPU type it runs on; -1 before the start
        ("alloc", "i4"),  # first slot of its GPU list
        ("seq", "i4"),  # its number in the order of arrival; -1 before
        ("pushed", "i4"),  # in slot k: the job whose arrival enters the heap k-th (heapq ties only)
    ],
    align=True,
)
GPU = np.dtype([("end_s", "f8"), ("job", "i4"), ("type", "i4"), ("node", "i4")], align=True)
NODE = np.dtype([("mask", "u8"), ("free", "i4"), ("size", "i4"), ("first", "i4"), ("type", "i4")], align=True)
TYPE = np.dtype([("free", "i4"), ("total", "i4"), ("node", "i4")], align=True)  # node = its largest node's size
KLASS = np.dtype(
    [
        ("waiting", "i4"),  # jobs of the class inside the window
        ("gang", "i4"),
        ("types", "u8"),  # bit t = can run on type t
        ("fits", "u8"),  # bit t = could start now on type t; valid after ``kernels.mark_fits``
    ],
    align=True,
)
EVENT = np.dtype([("time", "f8"), ("kind", "i4"), ("job", "i4")], align=True)


class Views(NamedTuple):
    """The fields of N records as arrays; what every kernel takes."""

    head: np.ndarray  # (N,) HEAD
    jobs: np.ndarray  # (N, J) JOB, in workload order
    dur: np.ndarray  # (N, J, T) seconds, inf = impossible
    gpus: np.ndarray  # (N, G) GPU
    nodes: np.ndarray  # (N, M) NODE
    types: np.ndarray  # (N, T) TYPE
    classes: np.ndarray  # (N, C) KLASS: one per (gang, possible types)
    bits: np.ndarray  # (N, R, B) uint64: row t*(S+1)+f = nodes of type t with f free GPUs; f=0: with any free
    counts: np.ndarray  # (N, R) nodes in that row
    heap: np.ndarray  # (N, H) EVENT, a binary heap
    alloc: np.ndarray  # (N, A) GPU numbers, one list per started job
    order: np.ndarray  # (N, J) job that arrived k-th


class ClassTable(NamedTuple):
    """Job classes that behave alike when it comes to fitting: one per (gang, set of possible GPU types)."""

    gang: np.ndarray  # (C,)
    types: np.ndarray  # (C,) bit mask

    @classmethod
    def of(cls, gang: np.ndarray, dur: np.ndarray) -> tuple[ClassTable, np.ndarray]:
        """The classes of jobs with ``gang (n,)`` and ``dur (n, T)``, and the class of each job (n,)."""
        num_types = np.int64(dur.shape[1])
        mask = (np.isfinite(dur).astype(np.int64) << np.arange(num_types)).sum(axis=1)
        # One number per pair: sorting pairs would cost more than simulating the jobs.
        codes, klass = np.unique((gang.astype(np.int64) << num_types) | mask, return_inverse=True)
        return cls(codes >> num_types, (codes & ((1 << num_types) - 1)).astype(np.uint64)), klass


def run_times(workload: Workload, cluster: ClusterSpec, rules: Rules) -> np.ndarray:
    """(n, T) run time of every job on every type where the placement rule could ever start it, else inf.

    Raises:
        WorkloadError: A job could start nowhere, not even on the idle cluster.
    """
    dur = workload.duration_on(cluster)
    if rules.placement == "consolidated":
        for t in range(cluster.num_types):
            sizes = cluster.node_size[cluster.node_type == t]
            whole, rest = np.divmod(workload.num_gpus, sizes.max())
            full_nodes = int((sizes == sizes.max()).sum())
            smaller = sizes[sizes < sizes.max()]
            holds_rest = (rest == 0) | (full_nodes > whole) | (rest <= (smaller.max() if smaller.size else 0))
            large = workload.num_gpus > sizes.max()
            dur[large & ~((whole <= full_nodes) & holds_rest), t] = np.inf
        stuck = np.flatnonzero(~np.isfinite(dur).any(axis=1))
        if stuck.size:
            row = int(stuck[0])
            raise WorkloadError(
                f"Row {row}: a gang of {workload.num_gpus[row]} GPUs can never be placed on whole nodes of this "
                f"cluster ({cluster.describe()}) with consolidated placement. Drop the job, or use pooled placement."
            )
    return dur


class Sizes(NamedTuple):
    """Capacities of a record."""

    jobs: int
    classes: int
    alloc: int


def state_dtype(cluster: ClusterSpec, sizes: Sizes, *, heapq_ties: bool) -> np.dtype:
    """The record for one cluster and workloads up to ``sizes``."""
    j, t, g, m = sizes.jobs, cluster.num_types, cluster.num_gpus, cluster.num_nodes
    rows = t * (int(cluster.node_size.max()) + 1)
    return np.dtype(
        [
            ("head", HEAD),
            ("jobs", JOB, (j,)),
            ("dur", "f8", (j, t)),
            ("gpus", GPU, (g,)),
            ("nodes", NODE, (m,)),
            ("types", TYPE, (t,)),
            ("classes", KLASS, (sizes.classes,)),
            ("bits", "u8", (rows, (m + 63) // 64)),
            ("counts", "i4", (rows,)),
            ("heap", EVENT, (g + 1 + (j if heapq_ties else 0),)),
            ("alloc", "i4", (sizes.alloc,)),
            ("order", "i4", (j,)),
        ],
        align=True,
    )


class State:
    """N records of one cluster, and their views.

    One spare record is always allocated: with a single record NumPy would call the views contiguous, and the
    kernels would be compiled a second time for that layout.
    """

    def __init__(self, cluster: ClusterSpec, rules: Rules, num_envs: int, sizes: Sizes) -> None:
        self.cluster = cluster
        self.rules = rules
        self.num_envs = num_envs
        self.records = np.zeros(num_envs + 1, state_dtype(cluster, sizes, heapq_ties=rules.tie_order == "heapq"))
        self.views = Views(*(self.records[name] for name in Views._fields))
        #: (N+1, bytes) the records as raw bytes: a copy of a row is a snapshot.
        self.raw = self.records.view(np.uint8).reshape(num_envs + 1, -1)
        self._write_hardware()

    @classmethod
    def for_workload(cls, cluster: ClusterSpec, rules: Rules, workload: Workload) -> State:
        """A state of one environment, holding ``workload``."""
        dur = run_times(workload, cluster, rules)
        table, klass = ClassTable.of(workload.num_gpus, dur)
        sizes = Sizes(len(workload), len(table.gang), int(workload.num_gpus.sum()))
        state = cls(cluster, rules, 1, sizes)
        state.load(0, workload, dur, table, klass)
        return state

    def _write_hardware(self) -> None:
        cluster, v = self.cluster, self.views
        v.gpus["type"] = cluster.gpu_type
        v.gpus["node"] = cluster.gpu_node
        v.nodes["size"] = cluster.node_size
        v.nodes["first"] = np.concatenate([[0], np.cumsum(cluster.node_size)[:-1]])
        v.nodes["type"] = cluster.node_type
        v.types["total"] = cluster.type_gpus
        v.types["node"] = [cluster.node_size[cluster.node_type == t].max() for t in range(cluster.num_types)]
        v.head["max_node"] = cluster.node_size.max()
        rules = self.rules
        v.head["placement"] = PLACEMENTS[rules.placement]
        v.head["one_start"] = DISPATCHES[rules.dispatch]
        v.head["heapq_ties"] = TIE_ORDERS[rules.tie_order]
        v.head["max_steps"] = rules.max_steps or 0
        v.head["window"] = rules.window or np.iinfo(np.int32).max

    def load(self, e: int, workload: Workload, dur: np.ndarray, table: ClassTable, klass: np.ndarray) -> None:
        """Writes a workload into record ``e`` and resets it (kernel ``reset``).

        Args:
            e: Record number.
            workload: n <= J jobs.
            dur: (n, T) seconds, from ``run_times``.
            table: Classes that cover this workload.
            klass: (n,) class of each job in ``table``.
        """
        from rl_sched.sim import kernels  # numba loads only when something is simulated

        v, n = self.views, len(workload)
        jobs = v.jobs[e]
        jobs["submit_s"][:n] = workload.submit_s
        jobs["gang"][:n] = workload.num_gpus
        jobs["klass"][:n] = klass
        jobs["work"][:n] = dur.min(axis=1) * workload.num_gpus
        v.dur[e, :n] = dur
        if self.rules.tie_order == "heapq":
            # That heap is filled in the order in which the jobs were generated, which their names tell.
            names = workload.job_id or [str(i) for i in range(n)]
            jobs["pushed"][:n] = np.argsort([int(name) for name in names], kind="stable")
        v.classes["gang"][e, : len(table.gang)] = table.gang
        v.classes["types"][e, : len(table.gang)] = table.types
        head = v.head[e : e + 1]
        head["num_jobs"] = n
        head["num_classes"] = len(table.gang)
        head["total_work"] = float(jobs["work"][:n].sum())
        head["last_submit_s"] = workload.submit_s[-1]
        factor = self.rules.horizon_factor
        head["horizon_s"] = np.inf
        if factor is not None:
            head["horizon_s"] = workload.submit_s[-1] + factor * head["total_work"] / self.cluster.num_gpus
        kernels.reset(*v, e)
