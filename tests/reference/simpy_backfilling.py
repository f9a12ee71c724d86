"""Backfilling with reservations once more, as a policy on the SimPy model: many pools, shared GPUs, nodes that fail.

Written from the docstrings of ``rl_sched.policies.reserving`` and ``easy``; every moment is tried one after the other.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

from tests.reference.simpy_model import Decision, Model, Start, Wait
from tests.reference.simpy_orders import Policy

INF = math.inf


@dataclass
class Pool:
    """Expected free GPUs of one pool; times are seconds from now."""

    idle: int
    releases: list[float]  # of each GPU that is held on a working node
    booked: list[tuple[float, float, int]] = field(default_factory=list)  # from, to, GPUs

    def free(self, moment: float) -> int:
        back = sum(release <= moment for release in self.releases)
        return self.idle + back - sum(gang for begin, end, gang in self.booked if begin <= moment < end)

    def earliest(self, gang: int, length: float, after: float) -> float:
        """The first moment from ``after`` on from which so many GPUs are free for so long."""
        if after == INF:
            return INF
        turns = [*self.releases, *(edge for begin, end, _ in self.booked for edge in (begin, end))]
        for start in sorted({after, *(turn for turn in turns if turn > after)}):
            if all(self.free(m) >= gang for m in (start, *(t for t in turns if start < t < start + length))):
                return start
        return INF

    @property
    def first_release(self) -> float:
        return min(self.releases, default=INF)


def _pools(model: Model) -> list[Pool]:
    out = [Pool(0, []) for _ in model.cluster.pools]
    for number, gpu in enumerate(model.cluster.gpus):
        pool = out[model.cluster.pool_of(number)]
        if not model.cluster.works(gpu.node):
            continue
        holders = [gpu.holder] if gpu.holder is not None else list(gpu.shares)
        if holders:
            pool.releases.append(max(model.appears_to_end_in_s(row) for row in holders))
        else:
            pool.idle += 1
    return out


def _start_s(model: Model, pools: list[Pool], row: int, number: int) -> float:
    """From now, beside what is booked; 0 = now."""
    pool, gang, length = pools[number], model.jobs[row].gang, model.appears_to_need_s(row, number)
    if not model.fits(row, number):
        return pool.earliest(gang, length, pool.first_release)
    if pool.idle >= gang:
        return pool.earliest(gang, length, 0.0)
    rest = length - pool.first_release  # on a shared GPU, which may be held longer for it
    if rest <= 0 or pool.earliest(gang, rest, pool.first_release) == pool.first_release:
        return 0.0
    return pool.earliest(gang, length, pool.first_release)


def reserving(depth: int, *, shortest_first: bool = False) -> Policy:
    """The first ``depth`` jobs of each virtual cluster that cannot start reserve; the others disturb nobody."""

    def decide(model: Model) -> Decision:
        pools, reserved = _pools(model), Counter[int]()
        others: list[tuple[float, int, int, int]] = []
        for place, row in enumerate(sorted(model.window(), key=lambda row: model.jobs[row].submit_s)):
            needs = {p: model.appears_to_need_s(row, p) for p in model.cluster.pools}
            times = {p: _start_s(model, pools, row, p) for p, need in needs.items() if need < INF}
            if reserved[model.jobs[row].vc] >= depth:
                now = [(needs[p], p) for p, start in times.items() if start == 0 and model.fits(row, p)]
                if now and not shortest_first:
                    return Start(row, min(now)[1])
                if now:
                    others.append((min(needs.values()), place, row, min(now)[1]))
                continue
            finish, best = min(((start + needs[p], p) for p, start in times.items()), default=(INF, -1))
            if finish == INF:
                continue
            if times[best] == 0 and model.fits(row, best):
                return Start(row, best)
            pools[best].booked.append((times[best], times[best] + needs[best], model.jobs[row].gang))
            reserved[model.jobs[row].vc] += 1
        return Start(*min(others)[2:]) if others else Wait()

    return decide
