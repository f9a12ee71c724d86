"""Which GPUs a job gets: the section "Placement" of docs/simulator.md once more, in plain Python.

Written from that page alone; imports nothing of ``rl_sched``. Everything is looked up by walking through lists.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

WHOLE = 1000  #: thousandths of a GPU


@dataclass(frozen=True)
class Node:
    """``size`` GPUs of pool number ``pool``. GPUs are numbered node by node."""

    pool: int
    size: int


@dataclass(frozen=True)
class Job:
    """``durations[p]`` is the whole run time on pool p, inf where the job cannot run."""

    submit_s: float
    gang: int
    milli: int
    durations: tuple[float, ...]
    visible: float = 1.0  #: policies take its run times for that many times what they are
    vc: int = -1  #: its virtual cluster, -1 = none

    @property
    def fastest_s(self) -> float:
        return min(self.durations)

    @property
    def demand(self) -> float:
        """GPUs that it keeps busy."""
        return self.gang * (self.milli / WHOLE)


@dataclass
class Gpu:
    """One GPU: idle, held whole by ``holder``, or shared."""

    node: int
    holder: int | None = None
    shares: dict[int, int] = field(default_factory=dict)  #: row of the job -> thousandths

    @property
    def idle(self) -> bool:
        return self.holder is None and not self.shares

    @property
    def left(self) -> int:
        """Thousandths that a sharer could still get."""
        return WHOLE - sum(self.shares.values())


class Cluster:
    """Who holds which GPU, which nodes are out of order, and where a job would be put."""

    def __init__(self, nodes: list[Node], jobs: list[Job], placement: str) -> None:
        self.nodes = nodes
        self.jobs = jobs
        self.placement = placement
        self.pools = range(max(node.pool for node in nodes) + 1)
        self.gpus = [Gpu(number) for number, node in enumerate(nodes) for _ in range(node.size)]
        self.outages = [0] * len(nodes)  # how many outages of each node are going on

    def works(self, node: int) -> bool:
        return self.outages[node] == 0

    def members(self, pool: int) -> list[int]:
        """Nodes of a pool."""
        return [number for number, node in enumerate(self.nodes) if node.pool == pool]

    def largest(self, pool: int) -> int:
        """GPUs of the pool's largest node."""
        return max(self.nodes[node].size for node in self.members(pool))

    def gpus_of(self, node: int) -> list[int]:
        return [number for number, gpu in enumerate(self.gpus) if gpu.node == node]

    def pool_of(self, gpu: int) -> int:
        return self.nodes[self.gpus[gpu].node].pool

    def idle(self, node: int) -> list[int]:
        """Idle GPUs of a node."""
        return [gpu for gpu in self.gpus_of(node) if self.gpus[gpu].idle] if self.works(node) else []

    def idle_in(self, pool: int) -> list[int]:
        return [gpu for node in self.members(pool) for gpu in self.idle(node)]

    def in_service(self, pool: int) -> int:
        """GPUs of a pool on working nodes."""
        return sum(self.nodes[node].size for node in self.members(pool) if self.works(node))

    def take(self, row: int, gpus: list[int]) -> None:
        for number in gpus:
            gpu = self.gpus[number]
            assert self.works(gpu.node)
            if self.jobs[row].milli == WHOLE:
                assert gpu.idle
                gpu.holder = row
            else:
                assert gpu.holder is None and gpu.left >= self.jobs[row].milli
                gpu.shares[row] = self.jobs[row].milli

    def give_back(self, row: int) -> None:
        for gpu in self.gpus:
            gpu.shares.pop(row, None)
            if gpu.holder == row:
                gpu.holder = None

    def place(self, row: int, pool: int) -> list[int] | None:
        """The GPUs that a job would get now on a pool; None where it does not fit."""
        job = self.jobs[row]
        if job.durations[pool] == math.inf:
            return None
        if job.milli < WHOLE:
            gpu = self._share(row, pool)
            return None if gpu is None else [gpu]
        if self.placement == "consolidated":
            return self._consolidated(job.gang, pool)
        if len(self.idle_in(pool)) < job.gang:
            return None
        if self.placement == "pooled":
            return self.idle_in(pool)[: job.gang]
        return self._node_by_node(job.gang, pool)

    def _fullest(self, nodes: list[int]) -> int:
        return min(nodes, key=lambda node: (len(self.idle(node)), node))

    def _freest(self, nodes: list[int]) -> int:
        return min(nodes, key=lambda node: (-len(self.idle(node)), node))

    def _consolidated(self, gang: int, pool: int) -> list[int] | None:
        nodes, size = self.members(pool), self.largest(pool)
        chosen: list[int] = []
        if gang > size:
            empty = [node for node in nodes if self.nodes[node].size == size and len(self.idle(node)) == size]
            whole = gang // size
            if len(empty) < whole:
                return None
            for node in empty[:whole]:
                chosen += self.idle(node)
                nodes.remove(node)
        missing = gang - len(chosen)
        if missing == 0:
            return chosen
        able = [node for node in nodes if len(self.idle(node)) >= missing]
        if not able:
            return None
        node = self._freest(able) if chosen else self._fullest(able)
        return chosen + self.idle(node)[:missing]

    def _node_by_node(self, gang: int, pool: int) -> list[int]:
        """``best_fit``, ``worst_fit`` and ``fragmentation`` of a gang that fits."""
        nodes, chosen = self.members(pool), []
        while len(chosen) < gang:
            missing = gang - len(chosen)
            able = [node for node in nodes if len(self.idle(node)) >= missing]
            if not able or self.placement == "worst_fit":
                node = self._freest(nodes)
            elif self.placement == "best_fit":
                node = self._fullest(able)
            else:
                node = min(able, key=lambda node: (self._growth(node, self.idle(node)[:missing], None), node))
            chosen += self.idle(node)[:missing]
            nodes.remove(node)
        return chosen

    def _share(self, row: int, pool: int) -> int | None:
        """The GPU for a job that shares one."""
        milli = self.jobs[row].milli
        shared = [
            number
            for node in self.members(pool)
            if self.works(node)
            for number in self.gpus_of(node)
            if self.gpus[number].shares and self.gpus[number].left >= milli
        ]
        nodes = [node for node in self.members(pool) if self.idle(node)]
        if self.placement == "fragmentation":
            choices = [(self._growth(self.gpus[gpu].node, [gpu], milli), 0, gpu) for gpu in shared]
            choices += [(self._growth(node, self.idle(node)[:1], milli), 1, self.idle(node)[0]) for node in nodes]
            return min(choices)[2] if choices else None
        if self.placement == "worst_fit":
            if nodes:
                return self.idle(self._freest(nodes))[0]
            return min(shared, key=lambda gpu: (-self.gpus[gpu].left, gpu)) if shared else None
        if shared:
            return min(shared, key=lambda gpu: (self.gpus[gpu].left, gpu))
        if not nodes:
            return None
        return self.idle(nodes[0] if self.placement == "pooled" else self._fullest(nodes))[0]

    def _growth(self, node: int, taken: list[int], milli: int | None) -> int:
        """How much a node's wasted capacity grows if these GPUs are taken, whole or (``milli``) for sharing."""
        lefts = {gpu: self.gpus[gpu].left for gpu in self.gpus_of(node) if self.gpus[gpu].shares}
        before = self._wasted(node, len(self.idle(node)), list(lefts.values()))
        after = len(self.idle(node)) - sum(gpu not in lefts for gpu in taken)
        if milli is not None:
            lefts[taken[0]] = lefts.get(taken[0], WHOLE) - milli
        return self._wasted(node, after, list(lefts.values())) - before

    def _wasted(self, node: int, idle: int, lefts: list[int]) -> int:
        """Wasted capacity of a node in thousandths, summed over the jobs: whole numbers, so that ties are ties."""
        pool, size, wasted = self.nodes[node].pool, self.nodes[node].size, 0
        for job in self.jobs:
            if job.durations[pool] == math.inf:
                continue
            if idle < min(job.gang, size):
                wasted += WHOLE * idle
            wasted += sum(left for left in lefts if left < job.milli)
        return wasted
