"""The event heap of a record: a binary heap on (time, kind) that moves elements exactly as Python's heapq does."""

from __future__ import annotations

from rl_sched.sim.jit import helper

ARRIVAL = 1
COMPLETION = 2


@helper
def _before(a, b):
    return a.time < b.time or (a.time == b.time and a.kind < b.kind)


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
        while child < n:
            right = child + 1
            if right < n and not _before(s.heap[e, child], s.heap[e, right]):
                child = right
            _copy_event(s.heap[e, pos], s.heap[e, child])
            pos = child
            child = 2 * pos + 1
        _lift(s, e, pos, time, last_kind, last_job)
    return kind, job
