"""Planning of waiting jobs, one after the other, around what is reserved: min-min and what a learner sees of it."""

from __future__ import annotations

import numpy as np

from rl_sched.policies.look import BLOCK
from rl_sched.sim.jit import helper, routine

#: Mask of the lower half of a draw.
LOW = np.uint64(0xFFFFFFFF)


@helper
def mix(x):
    """One step of splitmix64 (Steele, Lea, Flood, 2014): a well mixed 64-bit hash of a counter."""
    x += np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@helper
def _planned(look, i, params):
    """Where the job of row ``i`` is planned to finish first: (type, finish, start, bound), in s from now.

    Finish counts waiting ``alpha`` times. ``bound`` is at most the finish after any reservations: the least finish over
    the types, to which a type that is free now may be preferred (``theta``), since reservations only delay slots of the
    plan. But where idle GPUs are not where the placement rule needs them, a reservation may end before what the job
    waits for now, and then only its run time is sure.
    """
    alpha, theta = params[0], params[1]
    gang = look.gang[i]
    best, finish, begin, bound = -1, np.inf, 0.0, np.inf
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
            bound = min(bound, look.duration[i, t])
            if at == 0.0:
                continue  # all are about to be free (one event per decision), or the gang never fits here
        if at == 0.0 and look.duration[i, t] < now_s:
            now_type, now_s = t, look.duration[i, t]
        if alpha * at + look.duration[i, t] < finish:
            best, finish, begin = t, alpha * at + look.duration[i, t], at
    bound = min(bound, finish)
    if best >= 0 and begin > 0.0 and now_type >= 0 and now_s <= theta * finish:
        best, finish, begin = now_type, now_s, 0.0
    return best, finish, begin, bound


@helper
def _begin(look, n):
    """Nothing is planned yet; returns the number of blocks."""
    for t in range(look.duration.shape[1]):
        for k in range(look.plan.shape[1]):
            look.plan[t, k] = look.free_at[t, k]
    for i in range(n):
        look.bound[i] = -np.inf
    blocks = (n + BLOCK - 1) // BLOCK
    for b in range(blocks):
        look.block[b] = -np.inf
    return blocks


@helper
def _earliest(look, n, blocks, params, power, full):
    """Of the jobs without a plan the one that is planned to finish first: (row, type, start); row -1 = none.

    Args:
        power: The finish is multiplied by gang ** power in the comparison.
        full: No more jobs may reserve: only one that starts now counts.
    """
    row, kind, least, planned_start = -1, -1, np.inf, 0.0
    for b in range(blocks):
        if look.block[b] >= least:  # also where all have a plan or can never start: inf
            continue
        low = np.inf
        for i in range(b * BLOCK, min((b + 1) * BLOCK, n)):
            if look.bound[i] < least:
                best, finish, begin, bound = _planned(look, i, params)
                weight = look.gang[i] ** power if power != 0.0 else 1.0
                look.bound[i] = bound * weight
                # At full depth a job that would wait may neither start nor reserve: it changes nothing.
                if best >= 0 and finish * weight < least and (begin == 0.0 or not full):
                    row, kind, least, planned_start = i, best, finish * weight, begin
            low = min(low, look.bound[i])
        look.block[b] = low
    return row, kind, planned_start


@routine
def min_min(look, n, params):
    """The first job of the plan that starts now: (row, type), or (-1, -1); params: those of ``policies.min_min``."""
    blocks = _begin(look, n)
    reserved = 0
    while True:
        row, kind, start = _earliest(look, n, blocks, params, params[3], reserved >= params[2])
        if row < 0 or start == 0.0:
            return row, kind
        _reserve(look, row, kind, start)
        reserved += 1


@routine
def plan_first(look, n, params, most):
    """The plan of min-min for the ``most`` jobs that come first in it, every one reserving.

    Writes ``look.when[0]``, seconds from now until each job is planned to start, ``look.turn[0]``, on which type
    (-1 = on none), and ``look.turn[2]``, the planned jobs in order.

    Args:
        look, params: As for ``min_min``, of which the first two count.
        most: n and more: the plan is whole, and jobs of type -1 can never start.

    Returns:
        (number of planned jobs, sum of their planned finishes).
    """
    for i in range(n):
        look.turn[0, i] = -1
    blocks = _begin(look, n)
    planned, total = 0, 0.0
    while planned < most:
        row, t, begin = _earliest(look, n, blocks, params, 0.0, False)
        if row < 0:
            break
        look.when[0, row], look.turn[0, row], look.turn[2, planned] = begin, t, row
        planned += 1
        total += params[0] * begin + look.duration[row, t]
        _reserve(look, row, t, begin)
    return planned, total


@helper
def _try(look, jobs, params, limit):
    """Plans the jobs in the order ``look.turn[3]``; whether their finishes add up to less than ``limit``: (it, sum).

    A plan is given up as soon as what it costs and the run times of the jobs to come are no less. Among sums that are
    equal but for rounding this decides, so it is part of the rule.
    """
    for t in range(look.duration.shape[1]):
        for k in range(look.plan.shape[1]):
            look.plan[t, k] = look.free_at[t, k]
    total, rest = 0.0, 0.0
    for j in range(jobs):
        rest += look.when[2, look.turn[3, j]]
    for j in range(jobs):
        i = look.turn[3, j]
        best, finish, begin, _ = _planned(look, i, params)
        total += finish
        rest -= look.when[2, i]
        if best < 0 or total + rest >= limit:
            return False, total
        look.when[1, i], look.turn[1, i] = begin, best
        _reserve(look, i, best, begin)
    return total < limit, total


@helper
def _accept(look, jobs):
    for j in range(jobs):
        i = look.turn[3, j]
        look.turn[2, j] = i
        look.when[0, i], look.turn[0, i] = look.when[1, i], look.turn[1, i]


@helper
def _search(look, n, decision, params):
    """The plan of ``plan_first`` improved by local search, written where that is; returns how many jobs it has.

    Tried are the order by area, and then single jobs of the best order known in other places (insertion
    neighbourhood), drawn at random. A plan's cost is the sum of its finishes, in which waiting counts ``alpha`` times.
    """
    jobs, total = plan_first(look, n, params, params[3])
    if jobs < 2 or params[2] <= 0.0:
        return jobs
    for j in range(jobs):
        i = look.turn[2, j]
        fastest = np.inf
        for t in range(look.duration.shape[1]):
            fastest = min(fastest, look.duration[i, t])
        look.when[2, i] = fastest
        k = j
        while k > 0 and look.when[2, look.turn[3, k - 1]] * look.gang[look.turn[3, k - 1]] > fastest * look.gang[i]:
            look.turn[3, k] = look.turn[3, k - 1]
            k -= 1
        look.turn[3, k] = i
    better, found = _try(look, jobs, params, total)
    if better:
        total = found
        _accept(look, jobs)
    draw = np.uint64(decision) ^ mix(np.uint64(np.int64(params[4])))
    for _ in range(np.int64(params[2])):
        draw = mix(draw)
        source = np.int64((draw & LOW) % np.uint64(jobs))
        target = np.int64((draw >> np.uint64(32)) % np.uint64(jobs - 1))
        if target >= source:
            target += 1
        step = 1 if target > source else -1
        for j in range(jobs):
            look.turn[3, j] = look.turn[2, j]
        for j in range(source, target, step):
            look.turn[3, j] = look.turn[2, j + step]
        look.turn[3, target] = look.turn[2, source]
        better, found = _try(look, jobs, params, total)
        if better:
            total = found
            _accept(look, jobs)
    return jobs


@routine
def local_search(look, n, decision, params):
    """The first job of the searched plan that starts now: (row, type), or (-1, -1); params: policies.local_search."""
    jobs = _search(look, n, decision, params)
    for j in range(jobs):
        i = look.turn[2, j]
        if look.when[0, i] == 0.0:
            return i, look.turn[0, i]
    if jobs < params[3]:
        return -1, -1
    # One of the others may start beside them: these follow as min-min plans them.
    blocks = _begin(look, n)
    for j in range(jobs):
        i = look.turn[2, j]
        _reserve(look, i, look.turn[0, i], look.when[0, i])
    while True:
        row, kind, start = _earliest(look, n, blocks, params, 0.0, False)
        if row < 0 or start == 0.0:
            return row, kind
        _reserve(look, row, kind, start)


@helper
def planned_loss(look, n):
    """Seconds that a whole plan of ``plan_first`` loses: waits, and what jobs take longer than on their fastest types.

    Jobs that can never start lose nothing.
    """
    loss = 0.0
    for i in range(n):
        if look.turn[0, i] >= 0:
            fastest = np.inf
            for t in range(look.duration.shape[1]):
                fastest = min(fastest, look.duration[i, t])
            loss += look.when[0, i] + look.duration[i, look.turn[0, i]] - fastest
    return loss


@helper
def _reserve(look, row, t, start):
    """The job of ``row`` takes the earliest slots of type ``t``, until its end; slots stay sorted."""
    plan, gang = look.plan, look.gang[row]
    until = start + look.duration[row, t]
    look.bound[row] = np.inf
    k = gang
    while k < plan.shape[1] and plan[t, k] < until:
        plan[t, k - gang] = plan[t, k]
        k += 1
    for i in range(k - gang, k):
        plan[t, i] = until
