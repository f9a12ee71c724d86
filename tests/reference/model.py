"""The simulator's rules once more, in plain Python: lists, loops and ``heapq``, slow and obvious.

Written from the specification alone; imports nothing of ``rl_sched``. The differential tests run random
workloads through this model and through the real simulator and compare every start, finish and GPU.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

INF = math.inf


@dataclass(frozen=True)
class Node:
    """``size`` GPUs of type number ``gpu_type``. GPUs are numbered node by node."""

    gpu_type: int
    size: int


@dataclass(frozen=True)
class Job:
    """``durations[t]`` is the run time on type t, inf where the job cannot run."""

    submit_s: float
    gang: int
    durations: tuple[float, ...]
    priority: float = 0.0


@dataclass
class Outcome:
    """One entry a job, in the order of the rows."""

    start_s: list[float]
    finish_s: list[float]
    gpu_type: list[int]
    gpus: list[tuple[int, ...]]
    decisions: int = 0


class Cluster:
    """Which GPU is free. Placement ``pooled`` or ``consolidated``."""

    def __init__(self, nodes: list[Node], placement: str) -> None:
        if placement not in ("pooled", "consolidated"):
            raise ValueError(f"unknown placement {placement!r}")
        self.nodes = nodes
        self.placement = placement
        self.num_types = max(node.gpu_type for node in nodes) + 1
        self.node_gpus: list[list[int]] = []
        first = 0
        for node in nodes:
            self.node_gpus.append(list(range(first, first + node.size)))
            first += node.size
        self.busy_until: list[float | None] = [None] * first  # None = free

    def free_in_node(self, node: int) -> list[int]:
        return [gpu for gpu in self.node_gpus[node] if self.busy_until[gpu] is None]

    def nodes_of(self, gpu_type: int) -> list[int]:
        return [i for i, node in enumerate(self.nodes) if node.gpu_type == gpu_type]

    def size_of(self, gpu_type: int) -> int:
        return sum(self.nodes[i].size for i in self.nodes_of(gpu_type))

    def place(self, gang: int, gpu_type: int) -> list[int] | None:
        """The GPUs that a gang would get now, or None where it does not fit."""
        if self.placement == "pooled":
            free = [gpu for node in self.nodes_of(gpu_type) for gpu in self.free_in_node(node)]
            return free[:gang] if len(free) >= gang else None
        return self._place_consolidated(gang, gpu_type)

    def _place_consolidated(self, gang: int, gpu_type: int) -> list[int] | None:
        nodes = self.nodes_of(gpu_type)
        largest = max(self.nodes[i].size for i in nodes)
        if gang <= largest:
            best = None
            for i in nodes:
                free = len(self.free_in_node(i))
                if free >= gang and (best is None or free < len(self.free_in_node(best))):
                    best = i
            return None if best is None else self.free_in_node(best)[:gang]
        whole, remainder = divmod(gang, largest)
        empty = [i for i in nodes if self.nodes[i].size == largest and len(self.free_in_node(i)) == largest]
        if len(empty) < whole:
            return None
        chosen = empty[:whole]
        gpus = [gpu for i in chosen for gpu in self.free_in_node(i)]
        if remainder:
            freest = None
            for i in nodes:
                if i in chosen or len(self.free_in_node(i)) < remainder:
                    continue
                if freest is None or len(self.free_in_node(i)) > len(self.free_in_node(freest)):
                    freest = i
            if freest is None:
                return None
            gpus += self.free_in_node(freest)[:remainder]
        return sorted(gpus)


@dataclass
class View:
    """What a policy sees at a decision point."""

    now_s: float
    jobs: list[Job]
    window: list[int]  # rows of the oldest waiting jobs, in the order of arrival
    cluster: Cluster
    can_wait: bool  # something runs or will arrive
    decision: int  # how many decisions came before

    def fits(self, row: int) -> list[int]:
        """Types on which the job could start now."""
        job = self.jobs[row]
        return [
            t
            for t in range(self.cluster.num_types)
            if job.durations[t] < INF and self.cluster.place(job.gang, t) is not None
        ]


Policy = Callable[[View], tuple[int, int] | None]  # (row, type), or None = wait


class _Event:
    """Ordered by time and kind alone: equal events come out in whatever order ``heapq`` makes of them."""

    ARRIVAL, COMPLETION = 0, 1

    def __init__(self, time_s: float, kind: int, row: int) -> None:
        self.time_s, self.kind, self.row = time_s, kind, row

    def __lt__(self, other: _Event) -> bool:
        return (self.time_s, self.kind) < (other.time_s, other.kind)


@dataclass
class _Episode:
    jobs: list[Job]
    cluster: Cluster
    window: int | None
    now_s: float = 0.0
    waiting: list[int] = field(default_factory=list)
    running: set[int] = field(default_factory=set)
    out: Outcome = field(init=False)

    def __post_init__(self) -> None:
        n = len(self.jobs)
        self.out = Outcome([math.nan] * n, [math.nan] * n, [-1] * n, [()] * n)

    def view(self, can_wait: bool) -> View:
        rows = self.waiting if self.window is None else self.waiting[: self.window]
        return View(self.now_s, self.jobs, list(rows), self.cluster, can_wait, self.out.decisions)

    def start(self, row: int, gpu_type: int) -> float:
        gpus = self.cluster.place(self.jobs[row].gang, gpu_type)
        assert gpus is not None and self.jobs[row].durations[gpu_type] < INF
        finish = self.now_s + self.jobs[row].durations[gpu_type]
        for gpu in gpus:
            assert self.cluster.busy_until[gpu] is None
            self.cluster.busy_until[gpu] = finish
        self.waiting.remove(row)
        self.running.add(row)
        self.out.start_s[row], self.out.finish_s[row] = self.now_s, finish
        self.out.gpu_type[row], self.out.gpus[row] = gpu_type, tuple(gpus)
        return finish

    def finish(self, row: int) -> None:
        self.running.remove(row)
        for gpu in self.out.gpus[row]:
            self.cluster.busy_until[gpu] = None


def run(
    jobs: list[Job],
    nodes: list[Node],
    policy: Policy,
    *,
    placement: str = "pooled",
    window: int | None = None,
    dispatch: str = "until_wait",
) -> Outcome:
    """Plays one episode to the end.

    Args:
        jobs: Rows in the order of submission.
        nodes: The cluster.
        policy: Asked at every decision point.
        placement: ``pooled`` or ``consolidated``.
        window: How many of the oldest waiting jobs may be started; None = all.
        dispatch: ``until_wait`` or ``one_start_per_event``.
    """
    # A type on which the gang cannot be placed even on the idle cluster is one where the job cannot run.
    idle = Cluster(nodes, placement)
    types = range(idle.num_types)
    jobs = [
        replace(job, durations=tuple(job.durations[t] if idle.place(job.gang, t) else INF for t in types))
        for job in jobs
    ]
    episode = _Episode(jobs, Cluster(nodes, placement), window)
    if dispatch == "until_wait":
        _until_wait(episode, policy)
    else:
        _one_start_per_event(episode, policy)
    return episode.out


def _until_wait(e: _Episode, policy: Policy) -> None:
    arrived = 0
    while True:
        # Decisions: time stands still until the policy waits or nothing in the window fits.
        while True:
            can_wait = bool(e.running) or arrived < len(e.jobs)
            view = e.view(can_wait)
            if not any(view.fits(row) for row in view.window):
                break
            choice = policy(view)
            e.out.decisions += 1
            if choice is None:
                if not can_wait:
                    raise RuntimeError("a policy waits although nothing can ever happen again")
                break
            e.start(*choice)
        # The next event time: completions first, then arrivals in the order of the rows.
        times = [e.out.finish_s[row] for row in e.running]
        if arrived < len(e.jobs):
            times.append(e.jobs[arrived].submit_s)
        if not times:
            if e.waiting:
                raise RuntimeError(f"jobs {e.waiting} fit nowhere, even on the idle cluster")
            return
        e.now_s = min(times)
        for row in sorted(e.running):
            if e.out.finish_s[row] == e.now_s:
                e.finish(row)
        while arrived < len(e.jobs) and e.jobs[arrived].submit_s == e.now_s:
            e.waiting.append(arrived)
            arrived += 1


def _one_start_per_event(e: _Episode, policy: Policy) -> None:
    heap: list[_Event] = []
    for row, job in enumerate(e.jobs):
        heapq.heappush(heap, _Event(job.submit_s, _Event.ARRIVAL, row))

    def process_one() -> None:
        event = heapq.heappop(heap)
        e.now_s = event.time_s
        if event.kind == _Event.ARRIVAL:
            e.waiting.append(event.row)
        else:
            e.finish(event.row)

    while heap and heap[0].time_s <= 0:
        process_one()
    while e.waiting or e.running or heap:
        choice = policy(e.view(can_wait=bool(heap)))
        e.out.decisions += 1
        if choice is not None:
            heapq.heappush(heap, _Event(e.start(*choice), _Event.COMPLETION, choice[0]))
        elif not heap:
            raise RuntimeError("a policy waits although nothing can ever happen again")
        process_one()
