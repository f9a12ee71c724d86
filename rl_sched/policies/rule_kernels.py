"""Compiled rules: each looks at one decision and returns (row of the window, GPU type), or (-1, -1) to wait.

A rule's kernel takes ``look`` (a ``Look`` of arrays) and its parameters. ``choose`` is the table that dispatches on
a rule's code; ``run`` plays one record to its end with one rule.
"""

from __future__ import annotations

import numpy as np

from rl_sched.policies.look import Look, fill_free_at
from rl_sched.policies.planning_kernels import local_search, min_min, mix
from rl_sched.sim.jit import helper, kernel, routine
from rl_sched.sim.kernels import can_wait, complete, cut, decide, gather, log_is_full
from rl_sched.sim.record import Views
from rl_sched.sim.watching import END

RANDOM, BEST_FIT, INDEX, MIN_MIN, WFP3, UNICEP, CHEAPEST, LOCAL_SEARCH = range(8)

#: Stands for log2(1) = 0 in a divisor.
LOG2_OF_ONE = 1e-15


@helper
def _fastest_feasible(look, i):
    """The type on which the job of row ``i`` would run fastest among those where it fits now; -1 if none."""
    best = -1
    for t in range(look.duration.shape[1]):
        if look.feasible[i, t] and (best < 0 or look.duration[i, t] < look.duration[i, best]):
            best = t
    return best


@routine
def _first_feasible(look, n):
    for i in range(n):
        best = _fastest_feasible(look, i)
        if best >= 0:
            return i, best
    return -1, -1


@routine
def _random(look, n, now, decision, params):
    jobs = 0
    for i in range(n):
        look.done[i] = False
        for t in range(look.feasible.shape[1]):
            look.done[i] |= look.feasible[i, t]
        jobs += look.done[i]
    if jobs == 0:
        return -1, -1
    draw = mix(mix(np.uint64(np.int64(params[0]))) ^ mix(np.uint64(decision)) ^ np.uint64(np.int64(now * 1e3)))
    k = np.int64(draw % np.uint64(jobs))
    row = 0
    while True:
        if look.done[row]:
            if k == 0:
                break
            k -= 1
        row += 1
    return row, _fastest_feasible(look, row)


@routine
def _best_fit(look, n):
    row, best, least = -1, -1, np.inf
    for i in range(n):
        for t in range(look.duration.shape[1]):
            if look.feasible[i, t]:
                left = look.free[t] - look.gang[i]
                if left < least:
                    row, best, least = i, t, left
    return row, best


@helper
def _fastest(look, i):
    best = np.inf
    for t in range(look.duration.shape[1]):
        best = min(best, look.duration[i, t])
    return best


@routine
def _index(look, n, now, params):
    """Weighted sum of log features; lowest starts first. params: duration, gang, area, waiting, speed."""
    mean_area = 0.0
    for i in range(n):
        mean_area += _fastest(look, i) * look.gang[i] / n
    row, best, least = -1, -1, np.inf
    for i in range(n):
        fastest = _fastest(look, i)
        waited = now - look.submit[i]
        base = (
            params[0] * np.log(fastest)
            + params[1] * np.log(look.gang[i])
            + params[2] * fastest * look.gang[i] / mean_area
            + params[3] * waited / (waited + fastest)
        )
        for t in range(look.duration.shape[1]):
            if look.feasible[i, t]:
                score = base + params[4] * np.log(look.duration[i, t] / fastest)
                if score < least:
                    row, best, least = i, t, score
    return row, best


@routine
def _aged(look, n, now, code, params):
    """WFP3 and UNICEP: the lowest score starts first. params of WFP3: power."""
    row, best, least = -1, -1, np.inf
    for i in range(n):
        kind = _fastest_feasible(look, i)
        if kind < 0:
            continue
        run = _fastest(look, i)
        waited = now - look.submit[i]
        if code == WFP3:
            score = -((waited / run) ** params[0]) * look.gang[i]
        else:
            score = -waited / (max(np.log2(look.gang[i]), LOG2_OF_ONE) * run)
        if row < 0 or score < least:
            row, best, least = i, kind, score
    return row, best


@routine
def _cheapest(look, n, params):
    """The job submitted first, on the cheapest type of those not much slower than the fastest.

    params: largest slow-down, then the price of a GPU-second on each type.
    """
    row = -1
    for i in range(n):
        if (row < 0 or look.submit[i] < look.submit[row]) and _fastest_feasible(look, i) >= 0:
            row = i
    if row < 0:
        return -1, -1
    best = _fastest_feasible(look, row)
    limit = params[0] * look.duration[row, best]
    for t in range(look.duration.shape[1]):
        if look.feasible[row, t] and look.duration[row, t] <= limit:
            if params[1 + t] * look.duration[row, t] < params[1 + best] * look.duration[row, best]:
                best = t
    return row, best


@routine
def choose(code, params, look, n, now, decision, may_wait):
    """One decision of the rule ``code``."""
    row, kind = -1, -1
    if code == MIN_MIN:
        row, kind = min_min(look, n, params)
    elif code == LOCAL_SEARCH:
        row, kind = local_search(look, n, decision, params)
    elif code == INDEX:
        row, kind = _index(look, n, now, params)
    elif code == BEST_FIT:
        row, kind = _best_fit(look, n)
    elif code == WFP3 or code == UNICEP:
        row, kind = _aged(look, n, now, code, params)
    elif code == CHEAPEST:
        row, kind = _cheapest(look, n, params)
    else:
        row, kind = _random(look, n, now, decision, params)
    if row < 0 and not may_wait:
        row, kind = _first_feasible(look, n)
    return row, kind


@helper
def choose_in_record(s, e, code, params, look):
    """The rule's decision in record ``e``: (row of the window, type); ``look`` is filled on the way."""
    n = gather(s, e, look.job, look.gang, look.submit, look.duration, look.feasible)
    if code == MIN_MIN or code == LOCAL_SEARCH:
        fill_free_at(s, e, look)
    for t in range(s.types.shape[1]):
        look.free[t] = s.types[e, t].free
    return choose(code, params, look, n, s.head[e].now, s.head[e].decisions, can_wait(s, e))


@helper
def play(s, e, code, params, look):
    """Plays record ``e`` to its end."""
    while not complete(s, e) and not cut(s, e):
        row, kind = choose_in_record(s, e, code, params, look)
        decide(s, e, look.job[row] if row >= 0 else -1, kind)


@kernel
def run(
    head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus,
    first, last, code, params, job, gang, submit, duration, feasible, free_at, plan, done, bound, block, free,
    when, turn,
):  # fmt: skip
    """Plays the records ``first <= e < last`` with one rule; from ``job`` on, the fields of a ``Look``."""
    s = Views(
        head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus
    )
    look = Look(job, gang, submit, duration, feasible, free_at, plan, done, bound, block, free, when, turn)
    for e in range(first, last):
        play(s, e, code, params, look)


@kernel
def run_slice(
    head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus, e,
    code, params, job, gang, submit, duration, feasible, free_at, plan, done, bound, block, free, when, turn, budget,
):  # fmt: skip
    """Plays up to ``budget`` decisions of record ``e``; returns END at its end, else 0."""
    s = Views(
        head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus
    )
    look = Look(job, gang, submit, duration, feasible, free_at, plan, done, bound, block, free, when, turn)
    for _ in range(budget):
        if complete(s, e) or cut(s, e):
            return END
        if log_is_full(s, e):
            break
        row, kind = choose_in_record(s, e, code, params, look)
        decide(s, e, look.job[row] if row >= 0 else -1, kind)
    return 0


@kernel
def choose_once(
    code, params, n, now, decision, may_wait, job, gang, submit, duration, feasible, free_at, plan, done, bound, block,
    free, when, turn,
):  # fmt: skip
    """``choose`` for Python callers; from ``job`` on, the fields of a ``Look``."""
    look = Look(job, gang, submit, duration, feasible, free_at, plan, done, bound, block, free, when, turn)
    return choose(code, params, look, n, now, decision, may_wait)
