"""Rules that score waiting jobs once more, as policies on the SimPy model; from their docstrings and papers alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from tests.reference.simpy_model import Decision, Model, Start, Wait
from tests.reference.simpy_orders import Policy, ranked


def _need_s(model: Model, row: int) -> float:
    """On its fastest pool."""
    return min(model.appears_to_need_s(row, pool) for pool in model.cluster.pools)


def _run_s(model: Model, row: int) -> float:
    """The whole job, as it appears, on its fastest pool."""
    return model.jobs[row].fastest_s * model.jobs[row].visible


def _log_submit(model: Model, row: int) -> float:
    return _log10(max(model.jobs[row].submit_s, 1.0))


def _log10(x: float) -> float:
    """NumPy's: others may differ in the last bit, and then log10(8) and 3 * log10(2) compare differently."""
    return float(np.log10(x))


def f_score(number: int) -> Policy:
    """F1 to F4 of Carastan-Santos and de Camargo."""
    scores: dict[int, Callable[[float, int, float], float]] = {
        1: lambda r, n, s: _log10(r) * n + 870 * s,
        2: lambda r, n, s: math.sqrt(r) * n + 25_600 * s,
        3: lambda r, n, s: r * n + 6_860_000 * s,
        4: lambda r, n, s: r * math.sqrt(n) + 530_000 * s,
    }

    def key(model: Model, row: int) -> float:
        return scores[number](_run_s(model, row), model.jobs[row].gang, _log_submit(model, row))

    return ranked(key, strict=False)


def wfp3() -> Policy:
    def key(model: Model, row: int) -> float:
        waited, need = model.now_s - model.jobs[row].submit_s, _need_s(model, row)
        return -((waited / need) ** 3) * model.jobs[row].gang if need > 0 else -math.inf

    return ranked(key, strict=False)


def unicep() -> Policy:
    def key(model: Model, row: int) -> float:
        waited, need = model.now_s - model.jobs[row].submit_s, _need_s(model, row)
        size = math.log2(model.jobs[row].gang) if model.jobs[row].gang > 1 else 1e-15
        return -waited / (size * need) if need > 0 else -math.inf

    return ranked(key, strict=False)


def edf(deadlines: Sequence[float]) -> Policy:
    return ranked(lambda model, row: (deadlines[row], model.jobs[row].submit_s), strict=False)


def qssf() -> Policy:
    def key(model: Model, row: int) -> tuple[float, int]:
        return _run_s(model, row) * model.jobs[row].demand, model.jobs[row].gang

    return ranked(key, strict=True)


def round_robin(users: Sequence[int]) -> Policy:
    def key(model: Model, row: int) -> tuple[int, float, float]:
        mine = [other for other in model.running if users[other] == users[row]]
        last = max((model.segment(other).start_s for other in mine), default=-math.inf)
        return len(mine), last, model.jobs[row].submit_s

    return ranked(key, strict=False)


def cheapest(prices: Sequence[float], max_slowdown: float) -> Policy:
    """The oldest job that fits, on the pool of the least price x time; equally cheap ones: the fastest, the first."""

    def decide(model: Model) -> Decision:
        for row in sorted(model.window(), key=lambda row: model.jobs[row].submit_s):
            times = {p: model.appears_to_need_s(row, p) for p in model.cluster.pools if model.fits(row, p)}
            if times:
                fastest = min(times, key=lambda p: (times[p], p))
                able = [p for p in times if times[p] <= max_slowdown * times[fastest]]
                return Start(row, min(able, key=lambda p: (prices[p] * times[p], p != fastest, p)))
        return Wait()

    return decide
