"""Planning of waiting jobs, one after the other, around what is reserved: min-min and what a learner sees of it."""

from __future__ import annotations

import numpy as np

from rl_sched.policies.look import BLOCK
from rl_sched.sim.jit import helper, routine


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
def _earliest(look, n, blocks, params, reserved):
    """Of the jobs without a plan the one that is planned to finish first: (row, type, start); row -1 = none.

    Args:
        reserved: How many blocked jobs have reserved: at full depth, ``params[2]``, only a job that starts now counts.
    """
    depth, power = params[2], params[3]
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
                if best >= 0 and finish * weight < least and (begin == 0.0 or reserved < depth):
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
        row, kind, start = _earliest(look, n, blocks, params, reserved)
        if row < 0 or start == 0.0:
            return row, kind
        _reserve(look, row, kind, start)
        reserved += 1


@routine
def plan_all(look, n, params, start, kind):
    """The whole plan of min-min, in which every job reserves.

    Args:
        look, params: As for ``min_min``; the depth does not count.
        start: Output (W,) seconds from now until each job is planned to start.
        kind: Output (W,) int64: on which type; -1 = on none, ever.
    """
    for i in range(n):
        kind[i] = -1
    blocks = _begin(look, n)
    while True:
        row, t, begin = _earliest(look, n, blocks, params, -1)
        if row < 0:
            return
        start[row], kind[row] = begin, t
        _reserve(look, row, t, begin)


@helper
def planned_loss(look, n, start, kind):
    """Seconds that the plan of ``plan_all`` loses: waits, and what jobs take longer than on their fastest types.

    Jobs that can never start lose nothing.
    """
    loss = 0.0
    for i in range(n):
        if kind[i] >= 0:
            fastest = np.inf
            for t in range(look.duration.shape[1]):
                fastest = min(fastest, look.duration[i, t])
            loss += start[i] + look.duration[i, kind[i]] - fastest
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
