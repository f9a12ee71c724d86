"""The state of a cluster along an event log: who waits, who runs where, which GPUs are idle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from rl_sched.cluster import ClusterSpec
from rl_sched.sim.eventlog import ARRIVE, FINISH, NODE_DOWN, NODE_UP, START, LogPart
from rl_sched.workload import WHOLE_GPU, Workload


class Event(NamedTuple):
    """One row of a log."""

    time_s: float
    kind: int
    job: int  # or node
    pool: int
    gpus: list[int]  # of a start


def events(log: LogPart, first: int = 0, last: int | None = None) -> Iterator[Event]:
    """The rows ``first <= i < last`` of a log."""
    rows = log.rows[first:last]
    columns = (rows[name].tolist() for name in ("time_s", "kind", "job", "type", "first", "gpus"))
    for time_s, kind, job, pool, at, count in zip(*columns, strict=True):
        yield Event(time_s, kind, job, pool, log.gpus[at : at + count].tolist() if count else [])


class Occupancy:
    """Follows a log event by event. P pools, M nodes."""

    def __init__(self, workload: Workload, cluster: ClusterSpec) -> None:
        self._gang = workload.num_gpus.tolist()
        self._milli = workload.gpu_milli.tolist()
        self._node = cluster.gpu_node.tolist()
        self._pool = cluster.node_pool.tolist()
        self._size = cluster.node_size.tolist()
        self.waiting: dict[int, None] = {}  # jobs, in order of the queue
        self.running: dict[int, list[int]] = {}  # job -> its GPUs, in order of the starts
        self.shared: list[dict[int, int]] = [{} for _ in range(cluster.num_pools)]  # GPU -> thousandths in use
        self.down: set[int] = set()  # nodes that are out of order
        self.node_idle = cluster.node_size.tolist()  # (M,) idle GPUs of each node; 0 while it is out of order
        self.idle = cluster.pool_gpus.tolist()  # (P,)
        self.counts = [[0] * (max(self._size) + 1) for _ in range(cluster.num_pools)]  # nodes by idle GPUs
        for node, size in enumerate(self._size):
            self.counts[self._pool[node]][size] += 1

    def apply(self, event: Event) -> None:
        """Takes the next event into account."""
        if event.kind == NODE_DOWN:  # its jobs are killed next
            self._set_idle(event.job, 0)
            self.down.add(event.job)
        elif event.kind == NODE_UP:
            self.down.remove(event.job)
            self._set_idle(event.job, self._size[event.job])
        elif event.kind == ARRIVE:
            self.waiting[event.job] = None
        elif event.kind == START:
            del self.waiting[event.job]
            self.running[event.job] = event.gpus
            self._move(event.job, event.gpus, 1)
        else:
            self._move(event.job, self.running.pop(event.job), -1)
            if event.kind != FINISH:
                self.waiting[event.job] = None

    def _move(self, job: int, gpus: list[int], sign: int) -> None:
        """The job takes GPUs (sign 1) or gives them back (-1)."""
        if self._milli[job] < WHOLE_GPU:
            (gpu,) = gpus
            shared = self.shared[self._pool[self._node[gpu]]]
            before = shared.get(gpu, 0)
            after = before + sign * self._milli[job]
            if after:
                shared[gpu] = after
            else:
                del shared[gpu]
            if before and after:
                return
        for gpu in gpus:
            node = self._node[gpu]
            self._set_idle(node, self.node_idle[node] - sign)

    def _set_idle(self, node: int, idle: int) -> None:
        if node in self.down:
            return
        pool, before = self._pool[node], self.node_idle[node]
        self.counts[pool][before] -= 1
        self.counts[pool][idle] += 1
        self.idle[pool] += idle - before
        self.node_idle[node] = idle


def pools_of(run_s: np.ndarray) -> list[tuple[int, ...]]:
    """n tuples: the pools on which each job can run, from its run times ``run_s (n, P)``."""
    return [tuple(np.flatnonzero(np.isfinite(row)).tolist()) for row in run_s]
