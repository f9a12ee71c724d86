"""The kernels: everything that ever moves a simulated cluster goes through these functions.

Order of events with equal times: completions, then arrivals in workload order, then decisions. ``one_start`` worlds
process one event per decision; with ``heapq_ties`` in the order of a heap on (time, kind), arrivals first.
Functions take ``s`` (``record.Views``) and ``e``, the number of the record; the public ones take the views as
positional arguments, since a tuple of arrays is slow to hand over from Python.
"""

from __future__ import annotations

import numpy as np

from rl_sched.sim.events import ARRIVAL, COMPLETION, pop, push
from rl_sched.sim.jit import helper, kernel
from rl_sched.sim.placement import fits, release, reset_nodes, take
from rl_sched.sim.record import Views

NO_TYPE = -1


@helper
def _admit_next(s, e):
    """The oldest job beyond the window enters it."""
    head = s.head[e]
    job = head.first_waiting if head.window_last < 0 else s.jobs[e, head.window_last].next
    head.window_last = job
    head.window_len += 1
    s.classes[e, s.jobs[e, job].klass].waiting += 1


@helper
def arrive(s, e, job):
    """The job joins the end of the list of waiting jobs."""
    head = s.head[e]
    j = s.jobs[e, job]
    j.seq = head.num_arrived
    s.order[e, head.num_arrived] = job
    head.num_arrived += 1
    j.next = -1
    j.prev = head.last_waiting
    if head.last_waiting >= 0:
        s.jobs[e, head.last_waiting].next = job
    else:
        head.first_waiting = job
    head.last_waiting = job
    head.num_waiting += 1
    head.waiting_work += j.work
    if head.window_len < head.window:
        _admit_next(s, e)


@helper
def start(s, e, job, t):
    """Starts a waiting job of the window on GPU type ``t``, where it must fit, at the present time."""
    head = s.head[e]
    j = s.jobs[e, job]
    if j.prev >= 0:
        s.jobs[e, j.prev].next = j.next
    else:
        head.first_waiting = j.next
    if j.next >= 0:
        s.jobs[e, j.next].prev = j.prev
    else:
        head.last_waiting = j.prev
    if head.window_last == job:
        head.window_last = j.prev
    head.num_waiting -= 1
    head.window_len -= 1
    head.waiting_work -= j.work
    head.running_work += j.work
    s.classes[e, j.klass].waiting -= 1
    if head.num_waiting > head.window_len:
        _admit_next(s, e)
    j.start_s = head.now
    j.finish_s = head.now + s.dur[e, job, t]
    j.type = t
    j.alloc = head.alloc_len
    take(s, e, t, j.gang, job, j.finish_s)
    push(s, e, j.finish_s, COMPLETION, job)
    head.num_running += 1


@helper
def _finish(s, e, job):
    release(s, e, job)
    head = s.head[e]
    head.num_running -= 1
    head.num_done += 1
    head.running_work -= s.jobs[e, job].work
    head.done_work += s.jobs[e, job].work


@helper
def _move_clock(s, e, time):
    head = s.head[e]
    dt = time - head.now
    busy = 0
    for t in range(s.types.shape[1]):
        busy += s.types[e, t].total - s.types[e, t].free
    head.job_seconds += dt * (head.num_waiting + head.num_running)
    head.busy_gpu_s += dt * busy
    head.now = time


@helper
def advance(s, e):
    """Moves the clock to the next event time and handles all events of that time; False if there is none.

    In a ``one_start`` world exactly one event is handled; with ``heapq_ties`` arrivals lie in the heap too.
    """
    head = s.head[e]
    single = head.one_start == 1
    listed = head.heapq_ties == 0 and head.num_arrived < head.num_jobs
    if head.heap_len == 0 and not listed:
        return False
    time = np.inf
    if head.heap_len > 0:
        time = s.heap[e, 0].time
    if listed and s.jobs[e, head.num_arrived].submit_s < time:
        time = s.jobs[e, head.num_arrived].submit_s
    _move_clock(s, e, time)
    while head.heap_len > 0 and s.heap[e, 0].time == time:
        kind, job = pop(s, e)
        if kind == COMPLETION:
            _finish(s, e, job)
        else:
            arrive(s, e, job)
        if single:
            return True
    while listed and head.num_arrived < head.num_jobs and s.jobs[e, head.num_arrived].submit_s == time:
        arrive(s, e, head.num_arrived)
        if single:
            return True
    return True


@helper
def class_fits(s, e, c):
    """Could a job of class ``c`` start now on any type?"""
    k = s.classes[e, c]
    for t in range(s.types.shape[1]):
        if (k.types >> np.uint64(t)) & np.uint64(1) and fits(s, e, t, k.gang):
            return True
    return False


@helper
def mark_fits(s, e):
    """Writes into each class that waits the types on which its jobs could start now; returns whether any could."""
    some = False
    for c in range(s.head[e].num_classes):
        k = s.classes[e, c]
        if k.waiting > 0:
            mask = np.uint64(0)
            for t in range(s.types.shape[1]):
                bit = np.uint64(1) << np.uint64(t)
                if k.types & bit and fits(s, e, t, k.gang):
                    mask |= bit
            k.fits = mask
            some |= mask != np.uint64(0)
    return some


@helper
def anything_fits(s, e):
    """Could any job of the window start now?"""
    for c in range(s.head[e].num_classes):
        if s.classes[e, c].waiting > 0 and class_fits(s, e, c):
            return True
    return False


@helper
def can_start(s, e, job, t):
    """Could this job, if it waits in the window, start now on type ``t``?"""
    return s.dur[e, job, t] < np.inf and fits(s, e, t, s.jobs[e, job].gang)


@helper
def fastest_type(s, e, job):
    """The type on which the job would run fastest among those where it fits now; -1 if none (ties: first)."""
    best = NO_TYPE
    best_s = np.inf
    for t in range(s.types.shape[1]):
        if s.dur[e, job, t] < best_s and fits(s, e, t, s.jobs[e, job].gang):
            best = t
            best_s = s.dur[e, job, t]
    return best


@helper
def in_window(s, e, job):
    """Is the job waiting and among those that may be started?"""
    head = s.head[e]
    if job < 0 or job >= head.num_jobs:
        return False
    j = s.jobs[e, job]
    return j.seq >= 0 and j.type < 0 and head.window_len > 0 and j.seq <= s.jobs[e, head.window_last].seq


@helper
def can_wait(s, e):
    """May time still bring an event?"""
    return s.head[e].num_running > 0 or s.head[e].num_arrived < s.head[e].num_jobs


@helper
def complete(s, e):
    return s.head[e].num_done == s.head[e].num_jobs


@helper
def cut(s, e):
    """Is the episode over before all jobs are done?"""
    head = s.head[e]
    return head.now >= head.horizon_s or (head.max_steps > 0 and head.decisions >= head.max_steps)


@helper
def pass_time(s, e, at_least_one):
    """Lets events happen, ``at_least_one`` if so wished, until something in the window fits or the episode is over."""
    head = s.head[e]
    while at_least_one or (head.one_start == 0 and not anything_fits(s, e) and head.now < head.horizon_s):
        if not advance(s, e):
            break
        at_least_one = False


@helper
def decide(s, e, job, t):
    """Carries out one decision: start ``job`` on type ``t`` (both checked by the caller), or wait (``job`` < 0)."""
    s.head[e].decisions += 1
    if job >= 0:
        start(s, e, job, t)
    pass_time(s, e, job < 0 or s.head[e].one_start == 1)


@helper
def _reset(s, e):
    head = s.head[e]
    head.now = 0.0
    head.job_seconds = 0.0
    head.busy_gpu_s = 0.0
    head.waiting_work = 0.0
    head.running_work = 0.0
    head.done_work = 0.0
    head.num_arrived = 0
    head.num_waiting = 0
    head.num_running = 0
    head.num_done = 0
    head.first_waiting = -1
    head.last_waiting = -1
    head.window_len = 0
    head.window_last = -1
    head.heap_len = 0
    head.alloc_len = 0
    head.decisions = 0
    for c in range(s.head[e].num_classes):
        s.classes[e, c].waiting = 0
    for job in range(head.num_jobs):
        j = s.jobs[e, job]
        j.start_s = np.nan
        j.finish_s = np.nan
        j.type = NO_TYPE
        j.seq = -1
        j.next = -1
        j.prev = -1
        j.alloc = 0
    reset_nodes(s, e)
    if head.heapq_ties == 1:
        for k in range(head.num_jobs):
            job = s.jobs[e, k].pushed
            push(s, e, s.jobs[e, job].submit_s, ARRIVAL, job)
        while head.heap_len > 0 and s.heap[e, 0].time <= 0.0:
            _, job = pop(s, e)
            arrive(s, e, job)
    else:
        while head.num_arrived < head.num_jobs and s.jobs[e, head.num_arrived].submit_s <= 0.0:
            arrive(s, e, head.num_arrived)
    pass_time(s, e, False)


@kernel
def reset(head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, e):
    """Takes record ``e`` back to time 0 and to its first decision."""
    _reset(Views(head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order), e)


# Outcomes of ``step``.
OK = 0
NOT_WAITING = 1
DOES_NOT_FIT = 2
CANNOT_WAIT = 3


@kernel
def step(head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, e, job, t):
    """One checked decision of a Python policy; returns an outcome code, and moves nothing unless it is OK."""
    s = Views(head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order)
    if job >= 0:
        if not in_window(s, e, job):
            return NOT_WAITING
        if t < 0 or t >= s.types.shape[1] or not can_start(s, e, job, t):
            return DOES_NOT_FIT
    elif not can_wait(s, e) and s.head[e].one_start == 0:
        return CANNOT_WAIT
    decide(s, e, job, t)
    return OK


@helper
def gather(s, e, job, gang, submit, duration, feasible):
    """Writes the waiting jobs of the window, oldest first, into arrays of at least W rows; returns their number."""
    n = s.head[e].window_len
    j = s.head[e].first_waiting
    for i in range(n):
        r = s.jobs[e, j]
        job[i] = j
        gang[i] = r.gang
        submit[i] = r.submit_s
        for t in range(s.types.shape[1]):
            duration[i, t] = s.dur[e, j, t]
            feasible[i, t] = s.dur[e, j, t] < np.inf and fits(s, e, t, r.gang)
        j = r.next
    return n


@kernel
def window(
    head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, e,
    job, gang, submit, duration, feasible,
):  # fmt: skip
    """``gather`` for Python callers."""
    s = Views(head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order)
    return gather(s, e, job, gang, submit, duration, feasible)
