"""The running jobs of a preemptive ranking, in order of their keys."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rl_sched.sim.jit import helper, routine


class Runs(NamedTuple):
    """Running jobs in order of their keys, R at most; columns, since these are shifted fastest."""

    key: np.ndarray  # (R,) the static part: the key at time t is key - t (SRTF), key + t (LAS), key
    job: np.ndarray  # (R,) int32
    need: np.ndarray  # (R,) int32 thousandths of GPUs
    type: np.ndarray  # (R,) int32
    keep: np.ndarray  # (R,) bool: it keeps its GPUs; of the part that a walk has seen
    used: np.ndarray  # (T,) int64 sums of ``need``


@helper
def need_of(s, e, job):
    """Thousandths of GPUs."""
    j = s.jobs[e, job]
    return j.gang * s.classes[e, j.klass].milli


@helper
def _started_later(s, e, a, b):
    """Did ``a`` start after ``b``, or at the same time but after it in the queue?"""
    x, y = s.life[e, a].segment_s, s.life[e, b].segment_s
    return x > y or (x == y and s.jobs[e, a].seq > s.jobs[e, b].seq)


@helper
def _move_up(column, low, high):
    for i in range(high, low, -1):
        column[i] = column[i - 1]


@helper
def _move_down(column, low, high):
    for i in range(low, high):
        column[i] = column[i + 1]


@helper
def _first_not_below(runs, n, key):
    low, high = 0, n
    while low < high:
        middle = (low + high) >> 1
        if runs.key[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low


@routine
def insert(s, e, runs, n, job, key):
    """Puts a running job into its place among ``n``; equal keys in order of their starts."""
    low = _first_not_below(runs, n, key)
    while low < n and runs.key[low] == key and not _started_later(s, e, runs.job[low], job):
        low += 1
    _move_up(runs.key, low, n)
    _move_up(runs.job, low, n)
    _move_up(runs.need, low, n)
    _move_up(runs.type, low, n)
    need, t = need_of(s, e, job), s.jobs[e, job].type
    runs.key[low], runs.job[low], runs.need[low], runs.type[low] = key, job, need, t
    runs.used[t] += need
    s.life[e, job].key = key


@routine
def remove(s, e, runs, n, job):
    """Takes a job out of the list; returns the new length."""
    low = _first_not_below(runs, n, s.life[e, job].key)
    while low < n and runs.job[low] != job:
        low += 1
    if low == n:
        return n
    runs.used[runs.type[low]] -= runs.need[low]
    _move_down(runs.key, low, n - 1)
    _move_down(runs.job, low, n - 1)
    _move_down(runs.need, low, n - 1)
    _move_down(runs.type, low, n - 1)
    return n - 1


@helper
def skip_to(s, e, shift, runs, n, key, quota, spare):
    """Takes the running jobs before ``key`` from the quota, by the shorter end; returns how many they are.

    Jobs count as before it as the walk counts them: ``key + shift`` is rounded.
    """
    i = _first_not_below(runs, n, key - shift)
    while i < n and runs.key[i] + shift < key:
        i += 1
    while i > 0 and not runs.key[i - 1] + shift < key:
        i -= 1
    if 2 * i < n:
        for k in range(i):
            quota[runs.type[k]] -= runs.need[k]
    else:
        for t in range(s.types.shape[1]):
            quota[t] = spare[t]
        for k in range(i, n):
            quota[runs.type[k]] += runs.need[k]
    return i


@helper
def skip_kept(s, e, runs, i, n, quota, spare):
    """From ``i`` on no new job is picked: returns the first of the running jobs that may have to go, or ``n``.

    ``spare`` is what remains of each pool if all stay.
    """
    missing = 0
    for t in range(s.types.shape[1]):
        missing += spare[t] < 0
    end = n
    while missing > 0 and end > i:  # back to where all that follow need no more than the quota
        end -= 1
        t = runs.type[end]
        if spare[t] < 0 and spare[t] + runs.need[end] >= 0:
            missing -= 1
        spare[t] += runs.need[end]
    for t in range(s.types.shape[1]):
        quota[t] = spare[t]
    for k in range(i, end):
        runs.keep[k] = True
    return end
