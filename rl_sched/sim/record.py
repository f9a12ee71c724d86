"""The state of simulated clusters: one structured NumPy record per environment.

Notation: N environments, J jobs, G GPUs, M nodes, C job classes, R bucket rows, B words of a node set, H heap slots,
A slots of GPU lists, L log rows. T counts *pools*, the GPUs of one type in one virtual cluster: without virtual
clusters these are the GPU types, and the kernels call them types (``t``).

Worlds without preemption, failures, rounds, noise, slow-downs and shared GPUs are *plain*: their jobs run once,
from start to finish. The others keep a ``LIFE`` per job beside its ``JOB``.

A record holds everything that changes while a cluster runs, and the few constants the kernels need beside it, so
that a snapshot is one assignment. Kernels see the record through strided views (``State.views``) whose types do
not carry the sizes: the kernels compile once, whatever J, G and N are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rl_sched.cluster import ClusterSpec
from rl_sched.errors import SimulationError
from rl_sched.sim.rules import DISPATCHES, PLACEMENTS, TIE_ORDERS, Rules

HEAD = np.dtype(
    [
        ("now", "f8"),  # s
        ("job_seconds", "f8"),  # integral of jobs in the system over time since the reset, s
        ("waiting_seconds", "f8"),  # ... of waiting jobs alone
        ("waiting_age_s", "f8"),  # sum over the waiting jobs of the time since their submission
        ("age_s2", "f8"),  # its integral over time since the reset, s^2
        ("busy_gpu_s", "f8"),  # integral of busy GPUs over time since the reset, s
        ("busy", "f8"),  # busy GPUs, a shared one counted by the share in use
        ("waiting_work", "f8"),  # GPU-seconds (fastest type) of arrived jobs that neither run nor are done
        ("running_work", "f8"),  # ... of jobs that run
        ("done_work", "f8"),  # GPU-seconds (fastest type) of finished jobs
        ("done_priority", "f8"),  # sum of the priorities of finished jobs
        ("total_work", "f8"),  # GPU-seconds (fastest type) of all jobs
        ("horizon_s", "f8"),  # the episode is cut here; inf = never
        ("num_jobs", "i4"),
        ("num_arrived", "i4"),
        ("num_waiting", "i4"),
        ("num_running", "i4"),
        ("num_done", "i4"),
        ("first_waiting", "i4"),  # head of the queue
        ("last_waiting", "i4"),
        ("window_len", "i4"),  # waiting jobs that may be started
        ("window_last", "i4"),  # the last of them in the queue
        ("heap_len", "i4"),
        ("decisions", "i4"),
        ("max_steps", "i4"),  # the episode is cut after that many decisions; <= 0 = never
        ("placement", "i4"),
        ("window", "i4"),
        ("one_start", "i4"),
        ("heapq_ties", "i4"),
        ("max_node", "i4"),  # most GPUs of any node
        ("num_classes", "i4"),
        ("shared", "i4"),  # 1: some job needs a share of a GPU only
        ("plain", "i4"),  # 1: the fields below play no part
        ("preemptive", "i4"),
        ("num_queued", "i4"),  # entries into the queue so far: arrivals, preempted and killed jobs
        ("num_stale", "i4"),  # completions in the heap of segments that ended early
        ("num_down", "i4"),  # nodes out of order
        ("stuck", "i4"),  # nothing will ever happen again although jobs wait
        ("changed", "i4"),  # list through LIFE.link of jobs that finished or went back to the queue; -1 = end
        ("next_outage", "i4"),  # first row of the outage log that has not happened
        ("num_outages", "i4"),
        ("log_len", "i4"),
        ("log_gpus_len", "i4"),
        ("logging", "i4"),
        ("round_no", "i8"),  # number of the round that runs
        ("round_s", "f8"),  # 0 = no rounds
        ("discount_s", "f8"),  # time in which a cost loses all but 1/e of its weight; 0 = none, and the next two are 0
        ("decided_s", "f8"),  # time of the last decision
        ("discounted_s", "f8"),  # integral of jobs in the system since then, discounted to that time
        ("until_s", "f8"),  # time at which the policy wants to be asked although nothing happens; inf = none
        ("tail_s", "f8"),  # see Rules.preemptive_tail_s
        ("checkpoint_s", "f8"),
        ("locality", "f8"),  # slow-down of a gang on more nodes than needed
        ("straggler_share", "f8"),
        ("straggler_slowdown", "f8"),
        ("straggler_seed", "u8"),
        ("mtbf_s", "f8"),  # 0 = nodes do not fail at random
        ("mttr_s", "f8"),
        ("failure_seed", "u8"),
    ],
    align=True,
)
#: States of a job.
FUTURE, WAITING, RUNNING, DONE = range(4)
JOB = np.dtype(
    [
        ("submit_s", "f8"),
        ("start_s", "f8"),  # first start; nan before
        ("finish_s", "f8"),  # planned when it was last started; nan before and after a preemption
        ("work", "f8"),  # GPU-seconds on the fastest type
        ("priority", "f8"),
        ("gang", "i4"),
        ("klass", "i4"),
        ("next", "i4"),  # neighbour behind it in the queue
        ("prev", "i4"),
        ("alloc", "i4"),  # first slot of its GPU list
        ("seq", "i4"),  # its number in the order of (last) entry into the queue; -1 before
        ("pushed", "i4"),  # in slot k: the job whose arrival enters the heap k-th (heapq ties); scratch elsewhere
        ("type", "i2"),  # pool it runs on or last ran on; -1 before the first start
        ("state", "i1"),
    ],
    align=True,
)
LIFE = np.dtype(
    [
        ("left_s", "f8"),  # work left, in seconds on its fastest pool, as of the start of the segment
        ("overhead_s", "f8"),  # restart cost still to be paid before the work goes on, s
        ("segment_s", "f8"),  # start of its last segment
        ("speed", "f8"),  # work (s on the fastest pool) done per second in that segment
        ("end_s", "f8"),  # when a policy expects the segment to end
        ("attained_s", "f8"),  # time it has run in earlier segments, restart cost included
        ("waited_s", "f8"),  # time it has waited before its last entry into the queue
        ("since_s", "f8"),  # ... of which entry this is the time
        ("key", "f8"),  # scratch of ``preemptive.run``
        ("visible", "f8"),  # what a policy takes its run time for, as a factor of the truth
        ("link", "i4"),  # next of the list ``HEAD.changed``
        ("segments", "i4"),
        ("preemptions", "i4"),
        ("kills", "i4"),
    ],
    align=True,
)
#: ``GPU.job`` of a GPU that no job holds alone.
IDLE, SHARED, DOWN = -1, -2, -3
GPU = np.dtype(
    [
        ("end_s", "f8"),  # when a policy expects it to be free; 0 = idle, inf = out of order
        ("job", "i4"),  # or IDLE, SHARED, DOWN
        ("type", "i4"),
        ("node", "i4"),
        ("share", "i4"),  # thousandths in use while SHARED
    ],
    align=True,
)
NODE = np.dtype(
    [
        ("mask", "u8"),  # bit k = GPU first+k is idle
        ("free", "i4"),
        ("size", "i4"),
        ("first", "i4"),
        ("type", "i4"),
        ("down", "i4"),  # outages that lie on it now
        ("outages", "i4"),  # random outages and repairs so far
    ],
    align=True,
)
TYPE = np.dtype(
    [
        ("free", "i4"),
        ("total", "i4"),
        ("node", "i4"),  # its largest node's size
        ("room", "i4"),  # largest share (thousandths) that is left on a SHARED GPU
        ("busy_gpu_s", "f8"),  # GPU-seconds of segments that have ended
    ],
    align=True,
)
KLASS = np.dtype(
    [
        ("waiting", "i4"),  # jobs of the class inside the window
        ("gang", "i4"),
        ("types", "u8"),  # bit t = can run on type t
        ("fits", "u8"),  # bit t = could start now on type t; valid after ``kernels.mark_fits``
        ("milli", "i4"),  # thousandths of each GPU
        ("vc", "i4"),  # virtual cluster; -1 = none
        ("num_jobs", "f8"),  # jobs of the class in the workload, or in all that it was made for
        ("restart_s", "f8"),  # cost of each restart
    ],
    align=True,
)
EVENT = np.dtype([("time", "f8"), ("kind", "i4"), ("job", "i4")], align=True)
OUTAGE = np.dtype([("time", "f8"), ("node", "i4"), ("down", "i4")], align=True)
#: One row of the event log; ``first`` and ``gpus`` tell where in the log's list the GPUs of a start lie.
LOG = np.dtype(
    [("time_s", "f8"), ("kind", "i4"), ("job", "i4"), ("type", "i4"), ("gpus", "i4"), ("first", "i8")], align=True
)


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
    life: np.ndarray  # (N, J) LIFE; one row in a plain world
    outages: np.ndarray  # (N, K) OUTAGE in order of time
    log: np.ndarray  # (N, L) LOG
    log_gpus: np.ndarray  # (N, A') GPU numbers of the log's starts


class Sizes(NamedTuple):
    """Capacities of a record."""

    jobs: int
    classes: int
    alloc: int
    running: int  # jobs that may run at one time
    log: int = 0  # rows of the event log; 0 = none is kept


def state_dtype(cluster: ClusterSpec, rules: Rules, sizes: Sizes) -> np.dtype:
    """The record for one cluster and workloads up to ``sizes``."""
    j, t, g, m = sizes.jobs, cluster.num_pools, cluster.num_gpus, cluster.num_nodes
    rows = t * (int(cluster.node_size.max()) + 1)
    heap = sizes.running + 1 + (j if rules.tie_order == "heapq" else 0)
    if not rules.plain:
        heap += sizes.running + m + 64  # completions of segments that ended early, node events
    return np.dtype(
        [
            # What every event touches lies together at the front.
            ("head", HEAD),
            ("types", TYPE, (t,)),
            ("nodes", NODE, (m,)),
            ("counts", "i4", (rows,)),
            ("bits", "u8", (rows, (m + 63) // 64)),
            ("gpus", GPU, (g,)),
            ("heap", EVENT, (heap,)),
            ("classes", KLASS, (sizes.classes,)),
            ("jobs", JOB, (j,)),
            ("dur", "f8", (j, t)),
            ("order", "i4", (j,)),
            ("alloc", "i4", (sizes.alloc,)),
            ("life", LIFE, (1 if rules.plain else j,)),
            ("outages", OUTAGE, (max(2 * len(rules.outages), 1),)),
            ("log", LOG, (max(sizes.log, 1),)),
            ("log_gpus", "i4", (sizes.log + g if sizes.log else 1,)),
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
        self.sizes = sizes
        self.records = np.zeros(num_envs + 1, state_dtype(cluster, rules, sizes))
        self.views = Views(*(self.records[name] for name in Views._fields))
        #: (N+1, bytes) the records as raw bytes: a copy of a row is a snapshot.
        self.raw = self.records.view(np.uint8).reshape(num_envs + 1, -1)
        self._write_hardware()

    def _write_hardware(self) -> None:
        cluster, v = self.cluster, self.views
        v.gpus["type"] = cluster.gpu_pool
        v.gpus["node"] = cluster.gpu_node
        v.nodes["size"] = cluster.node_size
        v.nodes["first"] = np.concatenate([[0], np.cumsum(cluster.node_size)[:-1]])
        v.nodes["type"] = cluster.node_pool
        v.types["total"] = cluster.pool_gpus
        v.types["node"] = [cluster.node_size[cluster.node_pool == t].max() for t in range(cluster.num_pools)]
        head, rules = v.head, self.rules
        head["max_node"] = cluster.node_size.max()
        head["placement"] = PLACEMENTS[rules.placement]
        head["one_start"] = DISPATCHES[rules.dispatch]
        head["heapq_ties"] = TIE_ORDERS[rules.tie_order]
        head["max_steps"] = rules.max_steps or 0
        head["window"] = rules.window or np.iinfo(np.int32).max
        head["plain"] = rules.plain
        head["preemptive"] = rules.preemption
        head["round_s"] = rules.round_s or 0.0
        head["tail_s"] = rules.preemptive_tail_s if rules.preemption else 0.0
        head["checkpoint_s"] = rules.checkpoint_interval_s or np.inf
        head["locality"] = rules.locality_slowdown
        head["straggler_share"] = rules.straggler_share
        head["straggler_slowdown"] = rules.straggler_slowdown
        head["mtbf_s"] = rules.mtbf_s or 0.0
        head["mttr_s"] = rules.mttr_s
        head["straggler_seed"] = head["failure_seed"] = rules.seed
        head["num_outages"] = 2 * len(rules.outages)
        for node, _, _ in rules.outages:
            if not 0 <= node < cluster.num_nodes:
                raise SimulationError(
                    f"An outage must name a node of the cluster (0 to {cluster.num_nodes - 1}); it names {node}. "
                    "Drop the row or choose the cluster it was recorded on."
                )
        # At equal times repairs come first, but that of an outage without length after its beginning.
        events = [
            (at, turn, node, down)
            for node, start, end in rules.outages
            for at, turn, down in ((start, 1, 1), (end, 2 if end == start else 0, 0))
        ]
        for k, (at, _, node, down) in enumerate(sorted(events, key=lambda event: event[:2])):
            v.outages[:, k] = (at, node, down)
