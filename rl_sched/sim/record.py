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
from rl_sched.sim.rules import DISPATCHES, PLACEMENTS, TIE_ORDERS, Rules

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
        ("alloc", "i4"),  # first slot of its GPU list
        ("seq", "i4"),  # its number in the order of arrival; -1 before
        ("pushed", "i4"),  # in slot k: the job whose arrival enters the heap k-th (heapq ties only)
        ("type", "i2"),  # GPU type it runs on; -1 before the start
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
            # What every event touches lies together at the front.
            ("head", HEAD),
            ("types", TYPE, (t,)),
            ("nodes", NODE, (m,)),
            ("counts", "i4", (rows,)),
            ("bits", "u8", (rows, (m + 63) // 64)),
            ("gpus", GPU, (g,)),
            ("heap", EVENT, (g + 1 + (j if heapq_ties else 0),)),
            ("classes", KLASS, (sizes.classes,)),
            ("jobs", JOB, (j,)),
            ("dur", "f8", (j, t)),
            ("order", "i4", (j,)),
            ("alloc", "i4", (sizes.alloc,)),
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
