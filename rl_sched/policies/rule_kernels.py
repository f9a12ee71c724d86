"""Compiled rules: each looks at one decision and returns (row of the window, GPU type), or (-1, -1) to wait.

A rule's kernel takes ``look`` (a ``Look`` of arrays) and its parameters. ``choose`` is the table that dispatches on
a rule's code; ``run`` plays one record to its end with one rule.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rl_sched.sim.jit import helper, kernel, routine
from rl_sched.sim.kernels import can_wait, complete, cut, decide, gather, log_is_full
from rl_sched.sim.record import IDLE, Views
from rl_sched.sim.watching import END

RANDOM, BEST_FIT, INDEX, MIN_MIN, WFP3, UNICEP, CHEAPEST = range(7)

#: Rows that a planning rule passes over at once.
BLOCK = 64

#: Stands for log2(1) = 0 in a divisor.
LOG2_OF_ONE = 1e-15


class Look(NamedTuple):
    """Scratch arrays of one decision; W rows of the window of which ``n`` are used, T types, G GPUs."""

    job: np.ndarray  # (W,) int64
    gang: np.ndarray  # (W,) int64
    submit: np.ndarray  # (W,) s
    duration: np.ndarray  # (W, T) s
    feasible: np.ndarray  # (W, T) bool
    free_at: np.ndarray  # (T, G) s from now until 1, 2, ... GPUs of the type are free; inf beyond its size
    plan: np.ndarray  # (T, G) copy of free_at that a planning rule changes
    done: np.ndarray  # (W,) bool scratch
    bound: np.ndarray  # (W,) scratch
    block: np.ndarray  # (W / BLOCK,) scratch: least ``bound`` of BLOCK rows
    free: np.ndarray  # (T,) int64 idle GPUs


def num_blocks(rows: int) -> int:
    """How many blocks hold ``rows`` rows."""
    return -(-rows // BLOCK)


def new_look(rows: int, num_types: int, num_gpus: int) -> Look:
    """Scratch for windows up to ``rows`` jobs."""
    return Look(
        job=np.zeros(rows, np.int64),
        gang=np.zeros(rows, np.int64),
        submit=np.zeros(rows),
        duration=np.zeros((rows, num_types)),
        feasible=np.zeros((rows, num_types), np.bool_),
        free_at=np.full((num_types, num_gpus), np.inf),
        plan=np.zeros((num_types, num_gpus)),
        done=np.zeros(rows, np.bool_),
        bound=np.zeros(rows),
        block=np.zeros(num_blocks(rows)),
        free=np.zeros(num_types, np.int64),
    )


@helper
def fill_free_at(s, e, look):
    """Writes sorted times from now until 1, 2, ... GPUs of each type are free; ``look.free`` is scratch.

    Slots beyond the GPUs of a type are never written: they stay inf.
    """
    now = s.head[e].now
    for t in range(s.types.shape[1]):
        free = s.types[e, t].free
        look.free[t] = free
        for k in range(free):
            look.free_at[t, k] = 0.0
    for g in range(s.gpus.shape[1]):
        r = s.gpus[e, g]
        if r.job != IDLE:
            left = max(r.end_s - now, 0.0)
            k = look.free[r.type]
            look.free[r.type] = k + 1
            while k > 0 and look.free_at[r.type, k - 1] > left:
                look.free_at[r.type, k] = look.free_at[r.type, k - 1]
                k -= 1
            look.free_at[r.type, k] = left


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
def _mix(x):
    """One step of splitmix64 (Steele, Lea, Flood, 2014): a well mixed 64-bit hash of a counter."""
    x += np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


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
    draw = _mix(_mix(np.uint64(np.int64(params[0]))) ^ _mix(np.uint64(decision)) ^ np.uint64(np.int64(now * 1e3)))
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


@helper
def _planned(look, i, params):
    """Where the job of row ``i`` is planned to finish first: (type, finish, start, bound), in s from now.

    Finish counts waiting ``alpha`` times. ``bound`` is the least finish over the types: a type that is free now may be
    preferred to it (``theta``), and reservations can only raise it, since they only delay slots of the plan.
    """
    alpha, theta = params[0], params[1]
    gang = look.gang[i]
    best, finish, begin = -1, np.inf, 0.0
    now_type, now_s = -1, np.inf
    for t in range(look.duration.shape[1]):
        if look.duration[i, t] == np.inf:
            continue
        at = look.plan[t, gang - 1]
        if look.feasible[i, t] and look.free[t] < gang:
            at = 0.0  # there is room on a shared GPU
        if at == 0.0 and not look.feasible[i, t]:
            # Enough GPUs are idle but not where the placement rule needs them: wait for a next one.
            k = gang - 1
            while k < look.plan.shape[1] - 1 and look.plan[t, k] == 0.0:
                k += 1
            at = look.plan[t, k]
            if at == 0.0:
                continue  # all are about to be free (one event per decision), or the gang never fits here
        if at == 0.0 and look.duration[i, t] < now_s:
            now_type, now_s = t, look.duration[i, t]
        if alpha * at + look.duration[i, t] < finish:
            best, finish, begin = t, alpha * at + look.duration[i, t], at
    bound = finish
    if best >= 0 and begin > 0.0 and now_type >= 0 and now_s <= theta * finish:
        best, finish, begin = now_type, now_s, 0.0
    return best, finish, begin, bound


@routine
def _min_min(look, n, params):
    depth, power = params[2], params[3]
    for t in range(look.duration.shape[1]):
        for k in range(look.plan.shape[1]):
            look.plan[t, k] = look.free_at[t, k]
    for i in range(n):
        look.bound[i] = -np.inf
    blocks = (n + BLOCK - 1) // BLOCK
    for b in range(blocks):
        look.block[b] = -np.inf
    reserved = 0
    while True:
        row, kind, least, planned_start = -1, -1, np.inf, 0.0
        for b in range(blocks):
            if look.block[b] >= least:  # also where all have reserved or can never start: inf
                continue
            low = np.inf
            for i in range(b * BLOCK, min((b + 1) * BLOCK, n)):
                if look.bound[i] < least:
                    best, finish, begin, bound = _planned(look, i, params)
                    weight = look.gang[i] ** power if power != 0.0 else 1.0
                    look.bound[i] = bound * weight
                    # At full depth a job that would wait may neither start nor reserve: it changes nothing.
                    if best >= 0 and finish * weight < least and (begin == 0.0 or reserved < depth):
                        row, kind, least, planned_start = i, best, finish * weight, begin
                low = min(low, look.bound[i])
            look.block[b] = low
        if row < 0:
            return -1, -1
        if planned_start == 0.0:
            return row, kind
        look.bound[row] = np.inf
        reserved += 1
        _reserve(look.plan, kind, look.gang[row], planned_start + look.duration[row, kind])


@helper
def _reserve(plan, t, gang, until):
    """The ``gang`` earliest slots of type ``t`` become free at ``until``; slots stay sorted."""
    k = gang
    while k < plan.shape[1] and plan[t, k] < until:
        plan[t, k - gang] = plan[t, k]
        k += 1
    for i in range(k - gang, k):
        plan[t, i] = until


@routine
def choose(code, params, look, n, now, decision, may_wait):
    """One decision of the rule ``code``."""
    row, kind = -1, -1
    if code == MIN_MIN:
        row, kind = _min_min(look, n, params)
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
    if code == MIN_MIN:
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
):  # fmt: skip
    """Plays the records ``first <= e < last`` with one rule; from ``job`` on, the fields of a ``Look``."""
    s = Views(
        head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus
    )
    look = Look(job, gang, submit, duration, feasible, free_at, plan, done, bound, block, free)
    for e in range(first, last):
        play(s, e, code, params, look)


@kernel
def run_slice(
    head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus, e,
    code, params, job, gang, submit, duration, feasible, free_at, plan, done, bound, block, free, budget,
):  # fmt: skip
    """Plays up to ``budget`` decisions of record ``e``; returns END at its end, else 0."""
    s = Views(
        head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus
    )
    look = Look(job, gang, submit, duration, feasible, free_at, plan, done, bound, block, free)
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
    free,
):  # fmt: skip
    """``choose`` for Python callers; from ``job`` on, the fields of a ``Look``."""
    look = Look(job, gang, submit, duration, feasible, free_at, plan, done, bound, block, free)
    return choose(code, params, look, n, now, decision, may_wait)
