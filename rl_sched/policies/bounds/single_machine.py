"""Preemptive schedules of one machine: the relaxation behind the lower bounds. Compiled."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

#: Steps between two looks at Ctrl-C: some 20 ms.
_SLICE = 1 << 15
#: Places of ``mark``.
_SIZE, _ARRIVED, _PERIOD = range(3)


class OneMachine(NamedTuple):
    """A preemptive schedule of n jobs on one machine of speed 1."""

    finish_s: np.ndarray  # (n,) float64
    mean_busy_s: np.ndarray  # (n,) float64 mean of the times at which the job runs; its start if it needs none
    period: np.ndarray  # (n,) int64 number of the job's busy period, ascending


def shortest_remaining_first(release_s: np.ndarray, work_s: np.ndarray) -> OneMachine:
    """Always runs the job with the least work left: the sum of finish times is least (Schrage, 1968).

    Args:
        release_s: (n,) ascending.
        work_s: (n,) >= 0.
    """
    return _schedule(release_s, work_s, True)


def shortest_first(release_s: np.ndarray, work_s: np.ndarray) -> OneMachine:
    """Always runs the released job whose whole work is least: the sum of mean busy times is least (Goemans, 1997)."""
    return _schedule(release_s, work_s, False)


def _schedule(release_s: np.ndarray, work_s: np.ndarray, by_remaining: bool) -> OneMachine:
    n = len(release_s)
    machine = OneMachine(np.zeros(n), np.zeros(n), np.zeros(n, np.int64))
    left, key, heap, mark = work_s.copy(), work_s.copy(), np.zeros(n, np.int64), np.array([0, 0, -1])
    now_s = 0.0
    while mark[_ARRIVED] < n or mark[_SIZE] > 0:  # in slices, so that Ctrl-C comes through
        now_s = _run(release_s, work_s, by_remaining, *machine, left, key, heap, mark, now_s)
    return machine


@njit(cache=True)
def _run(
    release: np.ndarray,
    work: np.ndarray,
    by_remaining: bool,
    finish: np.ndarray,
    busy: np.ndarray,
    period: np.ndarray,
    left: np.ndarray,
    key: np.ndarray,
    heap: np.ndarray,
    mark: np.ndarray,
    now: float,
) -> float:
    """Goes on for a slice of steps from ``mark`` and the time ``now``; returns the new time.

    ``heap`` holds the released jobs, the first of which runs; ``mark`` how many these are, how many have been released
    at all, and the number of the busy period.
    """
    n = len(release)
    size, arrived, number = mark
    for _ in range(_SLICE):
        if arrived == n and size == 0:
            break
        if size == 0:
            now = max(now, release[arrived])
            number += 1
        while arrived < n and release[arrived] <= now:
            child = size
            size += 1
            while child > 0 and key[heap[(child - 1) // 2]] > key[arrived]:
                heap[child] = heap[(child - 1) // 2]
                child = (child - 1) // 2
            heap[child] = arrived
            period[arrived] = number
            arrived += 1
        job = heap[0]
        until = now + left[job]
        if arrived < n and release[arrived] < until:
            until = release[arrived]
            left[job] -= until - now
            if by_remaining:
                key[job] = left[job]  # smaller than before: it stays at the root
        else:
            left[job] = 0.0
            finish[job] = until
        busy[job] += (until - now) * (until + now) / 2
        now = until
        if left[job] <= 0.0:
            finish[job] = now
            busy[job] = busy[job] / work[job] if work[job] > 0 else now
            size -= 1
            last = heap[size]
            hole = 0
            while 2 * hole + 1 < size:
                child = 2 * hole + 1
                if child + 1 < size and key[heap[child + 1]] < key[heap[child]]:
                    child += 1
                if key[heap[child]] >= key[last]:
                    break
                heap[hole] = heap[child]
                hole = child
            heap[hole] = last
    mark[_SIZE], mark[_ARRIVED], mark[_PERIOD] = size, arrived, number
    return now
