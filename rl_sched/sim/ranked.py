"""The second door: policies that are a fixed ranking of jobs, run to the end inside the kernel.

Waiting jobs lie in one heap per class (gang, possible types). Jobs of a class fit or do not fit together, so the
best startable job is the best of the class heads: O(classes + log jobs) per start, whatever the queue's length.
"""

from __future__ import annotations

import numpy as np

from rl_sched.sim.jit import helper, kernel
from rl_sched.sim.kernels import class_fits, complete, cut, decide, fastest_type
from rl_sched.sim.record import State, Views

_SEQ_BITS = 32
_SEQ_MASK = (1 << _SEQ_BITS) - 1
_EMPTY = np.iinfo(np.int64).max


@helper
def _heap_push(keys, base, length, key):
    pos = length
    while pos > 0:
        parent = (pos - 1) >> 1
        if keys[base + parent] <= key:
            break
        keys[base + pos] = keys[base + parent]
        pos = parent
    keys[base + pos] = key


@helper
def _heap_pop(keys, base, length):
    n = length - 1
    key = keys[base + n]
    pos = 0
    child = 1
    while child < n:
        if child + 1 < n and keys[base + child + 1] < keys[base + child]:
            child += 1
        if key <= keys[base + child]:
            break
        keys[base + pos] = keys[base + child]
        pos = child
        child = 2 * pos + 1
    keys[base + pos] = key


@helper
def _choose(s, e, keys, base, length, strict):
    """Class whose head is to be started now; -1 = wait."""
    best = -1
    best_key = _EMPTY
    for c in range(s.head[e].num_classes):
        if length[c] > 0 and keys[base[c]] < best_key and (strict or class_fits(s, e, c)):
            best = c
            best_key = keys[base[c]]
    if best >= 0 and strict and not class_fits(s, e, best):
        return -1
    return best


@kernel
def _run(
    head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, e, rank, strict, keys, base, length
):  # fmt: skip
    s = Views(head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order)
    h = s.head[e]
    num_classes = h.num_classes
    for c in range(num_classes):
        length[c] = 0
    for job in range(h.num_jobs):
        length[s.jobs[e, job].klass] += 1
    base[0] = 0
    for c in range(1, num_classes):
        base[c] = base[c - 1] + length[c - 1]
    for c in range(num_classes):
        length[c] = 0
    admitted = 0
    while not complete(s, e) and not cut(s, e):
        while admitted < h.num_running + h.num_done + h.window_len:
            job = s.order[e, admitted]
            c = s.jobs[e, job].klass
            _heap_push(keys, base[c], length[c], (rank[job] << _SEQ_BITS) | admitted)
            length[c] += 1
            admitted += 1
        c = _choose(s, e, keys, base, length, strict)
        job, kind = -1, -1
        if c >= 0:
            job = s.order[e, keys[base[c]] & _SEQ_MASK]
            kind = fastest_type(s, e, job)
            _heap_pop(keys, base[c], length[c])
            length[c] -= 1
        decide(s, e, job, kind)


def run_ranked(state: State, e: int, rank: np.ndarray, *, strict: bool) -> None:
    """Runs record ``e`` to its end: jobs start in order of ``rank``, each on the fastest type where it fits.

    Args:
        state: The state; record ``e`` is loaded and reset.
        e: Record number.
        rank: (n,) int64 in [0, 2**31); lower starts first, ties in order of arrival.
        strict: The first job in rank blocks all others until it fits; else the first that fits is started.
    """
    jobs, classes = state.views.jobs.shape[1], state.views.classes.shape[1]
    keys, base, length = np.empty(jobs, np.int64), np.empty(classes, np.int64), np.empty(classes, np.int64)
    _run(*state.views, e, np.ascontiguousarray(rank, np.int64), strict, keys, base, length)
