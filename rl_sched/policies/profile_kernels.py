"""How many GPUs of each pool are expected to be free when: a step function that reservations take from.

Times are seconds from now. The steps of pool ``t`` are ``at[t, k]`` (ascending, the first is 0) and, from there to the
next step, ``free[t, k]`` GPUs; the last step lasts for ever. GPUs that are out of order are never free.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rl_sched.sim.jit import helper, routine

#: Ranges of durations: range ``b`` holds those of 2 ** (b - 1) s or more, range 0 all.
RANGES = 40


class Gpus(NamedTuple):
    """What is known of the G GPUs."""

    pool: np.ndarray  # (G,) int64
    held: np.ndarray  # (G,) bool: not idle
    remaining: np.ndarray  # (G,) s until it is expected to be free; inf = out of order


class Profile(NamedTuple):
    """Scratch arrays; T pools, K steps, S GPUs of the largest pool."""

    at: np.ndarray  # (T, K) s
    free: np.ndarray  # (T, K) int64
    steps: np.ndarray  # (T,) int64 steps in use
    idle: np.ndarray  # (T,) int64 idle GPUs
    release: np.ndarray  # (T,) s until the first GPU that is held is expected to be free; inf = never
    until: np.ndarray  # (T, S + 1) s for which 0, 1, ... GPUs stay free from now on, see ``measure``
    measured: np.ndarray  # (T,) bool: ``until`` holds
    known: np.ndarray  # (T, S + 1) bool: the row of ``bound`` holds
    bound: np.ndarray  # (T, S + 1, RANGES) s before which a gang of 0, 1, ... GPUs for such a time cannot start


def new_profile(pool_gpus: np.ndarray, reservations: int) -> Profile:
    """Scratch for pools of ``pool_gpus (T,)`` GPUs and up to so many reservations at a time."""
    pools, largest = len(pool_gpus), int(pool_gpus.max())
    steps = largest + 2 * reservations + 2
    return Profile(
        at=np.empty((pools, steps)),
        free=np.empty((pools, steps), np.int64),
        steps=np.empty(pools, np.int64),
        idle=np.empty(pools, np.int64),
        release=np.empty(pools),
        until=np.empty((pools, largest + 1)),
        measured=np.empty(pools, np.bool_),
        known=np.empty((pools, largest + 1), np.bool_),
        bound=np.empty((pools, largest + 1, RANGES)),
    )


@routine
def _sort_steps(p, t):
    """Orders the steps of a pool by time; Shell's sort with the gaps of Knuth."""
    n = p.steps[t]
    gap = 1
    while 3 * gap + 1 < n:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, n):
            at, free = p.at[t, i], p.free[t, i]
            k = i
            while k >= gap and p.at[t, k - gap] > at:
                p.at[t, k], p.free[t, k] = p.at[t, k - gap], p.free[t, k - gap]
                k -= gap
            p.at[t, k], p.free[t, k] = at, free
        gap //= 3


@routine
def build(p, gpus):
    """Without reservations: idle GPUs, and those held from when their jobs are expected to end."""
    for t in range(len(p.steps)):
        p.at[t, 0], p.free[t, 0], p.steps[t] = 0.0, 0, 1
        p.idle[t], p.release[t], p.measured[t] = 0, np.inf, False
        for g in range(p.known.shape[1]):
            p.known[t, g] = False
    for g in range(len(gpus.pool)):
        t, left = gpus.pool[g], gpus.remaining[g]
        if not gpus.held[g]:
            p.free[t, 0] += 1
            p.idle[t] += 1
        elif left < np.inf:
            p.release[t] = min(p.release[t], left)
            k = p.steps[t]
            if p.at[t, k - 1] == left:
                p.free[t, k - 1] += 1  # the GPUs of a gang mostly lie side by side
            else:
                p.at[t, k], p.free[t, k], p.steps[t] = left, 1, k + 1
    for t in range(len(p.steps)):
        _sort_steps(p, t)
        last = 0
        for k in range(1, p.steps[t]):
            if p.at[t, k] == p.at[t, last]:
                p.free[t, last] += p.free[t, k]
            else:
                p.free[t, last + 1] = p.free[t, last] + p.free[t, k]
                p.at[t, last + 1] = p.at[t, k]
                last += 1
        p.steps[t] = last + 1


@helper
def _step_at(p, t, time):
    """The step that ``time`` lies in."""
    low, high = 0, p.steps[t]
    while high - low > 1:
        middle = (low + high) >> 1
        if p.at[t, middle] <= time:
            low = middle
        else:
            high = middle
    return low


@helper
def _range_of(duration):
    """The last range that holds this duration."""
    power = int(np.floor(np.log2(max(duration, 0.5))))
    if 2.0**power > duration:  # the logarithm has been rounded up, or the duration is below 0.5
        power -= 1
    return min(max(power + 1, 0), RANGES - 1)


@routine
def _lower_bound(p, t, gang, duration):
    """What earlier searches of this decision tell about the start; reservations only take."""
    bound = 0.0
    if not p.known[t, gang]:
        for b in range(RANGES):
            p.bound[t, gang, b] = 0.0
        p.known[t, gang] = True
    for b in range(_range_of(duration) + 1):
        bound = max(bound, p.bound[t, gang, b])
    return bound


@routine
def earliest(p, t, gang, duration, after):
    """The first time from which ``gang`` GPUs are free for ``duration``; inf = never.

    ``after`` is the earliest that comes into question: for gangs of one size on one pool the same time throughout a
    decision.
    """
    start = max(after, _lower_bound(p, t, gang, duration))
    if start < np.inf:
        start = _search(p, t, gang, duration, start)
    beyond = _range_of(duration) + 1  # durations of that range are longer
    if beyond < RANGES:
        p.bound[t, gang, beyond] = max(p.bound[t, gang, beyond], start)
    return start


@routine
def _search(p, t, gang, duration, start):
    n = p.steps[t]
    k = _step_at(p, t, start)
    while True:
        while k < n and p.free[t, k] < gang:
            k += 1
            if k < n:
                start = p.at[t, k]
        if k == n:
            return np.inf
        end = start + duration
        while k < n and p.at[t, k] < end and p.free[t, k] >= gang:
            k += 1
        if k == n or p.at[t, k] >= end:
            return start


@routine
def _cut(p, t, time):
    """The step that begins at ``time``, made if need be."""
    k = _step_at(p, t, time)
    if p.at[t, k] == time:
        return k
    for i in range(p.steps[t], k + 1, -1):
        p.at[t, i], p.free[t, i] = p.at[t, i - 1], p.free[t, i - 1]
    p.at[t, k + 1], p.free[t, k + 1] = time, p.free[t, k]
    p.steps[t] += 1
    return k + 1


@routine
def reserve(p, t, gang, start, duration):
    """Takes ``gang`` GPUs from ``start`` on for ``duration``."""
    first = _cut(p, t, start)
    end = _cut(p, t, start + duration)
    for k in range(first, end):
        p.free[t, k] -= gang


@routine
def measure(p, t):
    """Writes ``until[t, g]``: the time at which fewer than g GPUs are free for the first time; inf = never."""
    least = p.until.shape[1] - 1
    for k in range(p.steps[t]):
        for g in range(max(p.free[t, k], 0) + 1, least + 1):
            p.until[t, g] = p.at[t, k]
        least = min(least, max(p.free[t, k], 0))
    for g in range(least + 1):
        p.until[t, g] = np.inf
    p.measured[t] = True
