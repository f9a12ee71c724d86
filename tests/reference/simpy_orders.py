"""Scheduling orders once more, as decisions on the SimPy model: FIFO, SJF, and the section "Preemptive orders"."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.reference.simpy_model import Decision, Model, Preempt, Start, Wait

Policy = Callable[[Model], Decision]
Key = Callable[[Model, int], tuple[float, ...]]


def ranked(key: Key, *, strict: bool) -> Policy:
    """Lowest key first, ties in order of the queue; strict = the first of each virtual cluster blocks the others."""

    def decide(model: Model) -> Decision:
        rows = sorted(model.window(), key=lambda row: key(model, row))
        blocked: set[int] = set()
        for row in rows:
            if strict and model.jobs[row].vc in blocked:
                continue
            blocked.add(model.jobs[row].vc)
            pools = [pool for pool in model.cluster.pools if model.fits(row, pool)]
            if pools:
                return Start(row, min(pools, key=lambda pool: (model.appears_to_need_s(row, pool), pool)))
        return Wait()

    return decide


def _submitted_s(model: Model, row: int) -> tuple[float, ...]:
    return (model.jobs[row].submit_s,)


def _appears_to_take_s(model: Model, row: int) -> tuple[float, ...]:
    return (model.jobs[row].fastest_s * model.jobs[row].visible,)


@dataclass
class PreemptiveOrder:
    """Preempts and starts jobs so that those of the lowest keys run; without preemption, a ranking.

    Args:
        key: Of a job, waiting or running.
        until_s: When to be asked again if nothing happens, after all has been carried out.
    """

    key: Key
    until_s: Callable[[Model], float]
    _turn: int = 0
    _plan: list[Decision] = field(default_factory=list)

    def __call__(self, model: Model) -> Decision:
        if not model.rules.preemption:
            return ranked(self.key, strict=False)(model)
        if self._turn != model.turns:
            self._turn, self._plan = model.turns, self._walk(model)
        while self._plan:
            decision = self._plan.pop(0)
            if not isinstance(decision, Start) or model.fits(*decision):
                return decision
        return Wait(self.until_s(model))

    def _walk(self, model: Model) -> list[Decision]:
        quota = {pool: 1000 * model.cluster.in_service(pool) for pool in model.cluster.pools}  # thousandths of GPUs
        preempts: list[Decision] = []
        starts: list[Decision] = []
        for row in sorted(model.window() + model.running, key=lambda row: self.key(model, row)):
            need = model.jobs[row].gang * model.jobs[row].milli
            if row in model.running:
                pool = model.segment(row).pool
                if quota[pool] >= need:
                    quota[pool] -= need
                else:
                    preempts.append(Preempt(row))
                continue
            times = [(model.appears_to_need_s(row, pool), pool) for pool in quota if quota[pool] >= need]
            if times and min(times)[0] < math.inf:
                quota[min(times)[1]] -= need
                starts.append(Start(row, min(times)[1]))
        return preempts + starts


def srtf() -> Policy:
    def key(model: Model, row: int) -> tuple[float, ...]:
        if row in model.running:
            return (model.segment(row).looks_s - model.now_s,)  # below 0 if it is overdue
        return (min(model.appears_to_need_s(row, pool) for pool in model.cluster.pools),)

    return PreemptiveOrder(key, lambda model: math.inf)


def las(quantum_s: float) -> Policy:
    def until_s(model: Model) -> float:
        return model.now_s + quantum_s if model.queue and model.running else math.inf

    def key(model: Model, row: int) -> tuple[float, ...]:
        if row not in model.running:
            return (model.attained_s(row), 0, 0)
        since_s = model.lives[row].attained_s - model.segment(row).start_s
        return (since_s + model.now_s, 1, since_s)

    return PreemptiveOrder(key, until_s)


def tiresias(quantum_gpu_s: float) -> Policy:
    def young(model: Model, row: int) -> bool:
        return model.attained_s(row) * model.jobs[row].gang < quantum_gpu_s * (1 - 1e-9)

    def until_s(model: Model) -> float:
        return min(
            (
                model.segment(row).start_s + (quantum_gpu_s / model.jobs[row].gang - model.lives[row].attained_s)
                for row in model.running
                if young(model, row)
            ),
            default=math.inf,
        )

    return PreemptiveOrder(lambda model, row: (not young(model, row), row), until_s)


#: Makers of policies without parameters, by the names of ``POLICIES``.
PLAIN: dict[str, Callable[[], Policy]] = {
    "fifo": lambda: ranked(_submitted_s, strict=True),
    "fifo_backfill": lambda: ranked(_submitted_s, strict=False),
    "sjf": lambda: ranked(_appears_to_take_s, strict=True),
    "sjf_backfill": lambda: ranked(_appears_to_take_s, strict=False),
    "srtf": srtf,
}
