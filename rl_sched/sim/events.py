"""The event heap of a record: a binary heap on (time, kind) that moves elements exactly as Python's heapq does."""

from __future__ import annotations

import numpy as np

from rl_sched.sim.jit import helper, routine
from rl_sched.sim.record import RUNNING

#: Kinds; at equal times the lower comes first. The ``job`` of the last two is a node.
ARRIVAL = 1
COMPLETION = 2
REPAIR = 3
FAILURE = 4


@helper
def _before(a, b):
    # Without a branch: which of two children comes first cannot be predicted.
    return (a.time < b.time) | ((a.time == b.time) & (a.kind < b.kind))


@helper
def _copy_event(a, b):
    a.time = b.time
    a.kind = b.kind
    a.job = b.job


@helper
def _lift(s, e, pos, time, kind, job):
    """Puts an event into the hole at ``pos``, or above it where its parents come later."""
    while pos > 0:
        parent = (pos - 1) >> 1
        p = s.heap[e, parent]
        if not (time < p.time or (time == p.time and kind < p.kind)):
            break
        _copy_event(s.heap[e, pos], p)
        pos = parent
    slot = s.heap[e, pos]
    slot.time = time
    slot.kind = kind
    slot.job = job


@helper
def push(s, e, time, kind, job):
    """Adds an event."""
    s.head[e].heap_len += 1
    _lift(s, e, s.head[e].heap_len - 1, time, kind, job)


@helper
def pop(s, e):
    """Removes the first event; returns (kind, job)."""
    head = s.head[e]
    top = s.heap[e, 0]
    kind, job = top.kind, top.job
    head.heap_len -= 1
    n = head.heap_len
    if n > 0:
        last = s.heap[e, n]
        time, last_kind, last_job = last.time, last.kind, last.job
        # heapq sinks the hole to a leaf along the smaller children and lifts the last element from there.
        pos = 0
        child = 1
        while child + 1 < n:
            child += 1 - int(_before(s.heap[e, np.uint64(child)], s.heap[e, np.uint64(child + 1)]))
            _copy_event(s.heap[e, np.uint64(pos)], s.heap[e, np.uint64(child)])
            pos = child
            child = 2 * pos + 1
        if child < n:
            _copy_event(s.heap[e, pos], s.heap[e, child])
            pos = child
        _lift(s, e, pos, time, last_kind, last_job)
    return kind, job


@helper
def is_stale(s, e, kind, job, time):
    """Does a completion belong to a segment that ended early?"""
    j = s.jobs[e, job]
    return kind == COMPLETION and (j.state != RUNNING or j.finish_s != time)


@routine
def drop_stale(s, e):
    """Removes stale completions from the top of the heap."""
    head = s.head[e]
    while head.heap_len > 0 and is_stale(s, e, s.heap[e, 0].kind, s.heap[e, 0].job, s.heap[e, 0].time):
        pop(s, e)
        head.num_stale = max(head.num_stale - 1, 0)


@routine
def compact(s, e):
    """Removes all stale completions from the heap."""
    head = s.head[e]
    n = head.heap_len
    for i in range(n):
        if s.heap[e, i].kind == COMPLETION:
            s.jobs[e, s.heap[e, i].job].pushed = 0
    head.heap_len = 0
    for i in range(n):  # what is pushed stays in front of what is still to be read
        r = s.heap[e, i]
        time, kind, job = r.time, r.kind, r.job
        if kind == COMPLETION:
            # A job restarted at once may end when its earlier segment would have: keep one of the two events.
            if is_stale(s, e, kind, job, time) or s.jobs[e, job].pushed == 1:
                continue
            s.jobs[e, job].pushed = 1
        push(s, e, time, kind, job)
    head.num_stale = 0
