"""The kernels: everything that ever moves a simulated cluster goes through these functions.

Functions take ``s`` (``record.Views``) and ``e``, the number of the record; the public ones take the views as
positional arguments, since a tuple of arrays is slow to hand over from Python.
"""

from __future__ import annotations

import numpy as np

from rl_sched.sim.clock import anything_fits, class_fits, pass_time
from rl_sched.sim.eventlog import log_is_full
from rl_sched.sim.events import ARRIVAL, pop, push
from rl_sched.sim.failures import outages_at, plan_failures
from rl_sched.sim.jit import helper, kernel
from rl_sched.sim.nodes import reset_nodes
from rl_sched.sim.placement import fits
from rl_sched.sim.queue import arrive
from rl_sched.sim.record import FUTURE, RUNNING, WAITING, Views
from rl_sched.sim.segments import fastest_s, preempt, start, visible_s

__all__ = ["anything_fits", "class_fits", "log_is_full"]

NO_TYPE = -1


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
                if k.types & bit and fits(s, e, t, k):
                    mask |= bit
            k.fits = mask
            some |= mask != np.uint64(0)
    return some


@helper
def can_start(s, e, job, t):
    """Could this job, if it waits in the window, start now on type ``t``?"""
    return s.dur[e, job, t] < np.inf and fits(s, e, t, s.classes[e, s.jobs[e, job].klass])


@helper
def fastest_type(s, e, job):
    """The type on which the job appears to need the least time, where it fits now; -1 if none (ties: first)."""
    best = NO_TYPE
    best_s = np.inf
    for t in range(s.types.shape[1]):
        if s.dur[e, job, t] < np.inf:
            need_s = visible_s(s, e, job, t)
            if need_s < best_s and fits(s, e, t, s.classes[e, s.jobs[e, job].klass]):
                best = t
                best_s = need_s
    return best


@helper
def in_window(s, e, job):
    """Is the job waiting and among those that may be started?"""
    head = s.head[e]
    if job < 0 or job >= head.num_jobs:
        return False
    j = s.jobs[e, job]
    return j.state == WAITING and head.window_len > 0 and j.seq <= s.jobs[e, head.window_last].seq


@helper
def can_wait(s, e):
    """May time still bring an event that changes something?"""
    head = s.head[e]
    return head.num_running > 0 or head.num_arrived < head.num_jobs or head.num_down > 0


@helper
def complete(s, e):
    return s.head[e].num_done == s.head[e].num_jobs


@helper
def cut(s, e):
    """Is the episode over before all jobs are done?"""
    head = s.head[e]
    return head.now >= head.horizon_s or (head.max_steps > 0 and head.decisions >= head.max_steps) or head.stuck == 1


@helper
def decide(s, e, job, t):
    """Carries out one decision: start ``job`` on type ``t`` (both checked by the caller), or wait (``job`` < 0)."""
    s.head[e].decisions += 1
    if s.head[e].discount_s > 0.0:
        s.head[e].decided_s = s.head[e].now
        s.head[e].discounted_s = 0.0
    if job >= 0:
        start(s, e, job, t)
    pass_time(s, e, job < 0 or s.head[e].one_start == 1)


@helper
def _reset_jobs(s, e):
    head = s.head[e]
    for job in range(head.num_jobs):
        j = s.jobs[e, job]
        j.start_s = np.nan
        j.finish_s = np.nan
        j.type = NO_TYPE
        j.state = FUTURE
        j.seq = -1
        j.next = -1
        j.prev = -1
    if head.plain == 0:
        for job in range(head.num_jobs):
            life = s.life[e, job]
            life.left_s = fastest_s(s, e, job)
            life.overhead_s = 0.0
            life.segment_s = np.nan
            life.speed = 1.0
            life.end_s = np.nan
            life.attained_s = 0.0
            life.waited_s = 0.0
            life.since_s = np.nan
            life.link = -1
            life.segments = 0
            life.preemptions = 0
            life.kills = 0


@helper
def _reset(s, e):
    head = s.head[e]
    head.now = 0.0
    head.job_seconds = 0.0
    head.waiting_seconds = 0.0
    head.waiting_age_s = 0.0
    head.age_s2 = 0.0
    head.decided_s = 0.0
    head.discounted_s = 0.0
    head.busy_gpu_s = 0.0
    head.busy = 0.0
    head.waiting_work = 0.0
    head.running_work = 0.0
    head.done_work = 0.0
    head.done_priority = 0.0
    head.num_arrived = 0
    head.num_waiting = 0
    head.num_running = 0
    head.num_done = 0
    head.first_waiting = -1
    head.last_waiting = -1
    head.window_len = 0
    head.window_last = -1
    head.heap_len = 0
    head.decisions = 0
    head.num_queued = 0
    head.num_stale = 0
    head.num_down = 0
    head.stuck = 0
    head.changed = -1
    head.next_outage = 0
    head.log_len = 0
    head.log_gpus_len = 0
    head.round_no = 0
    head.until_s = np.inf
    for c in range(s.head[e].num_classes):
        s.classes[e, c].waiting = 0
    _reset_jobs(s, e)
    reset_nodes(s, e)
    if head.heapq_ties == 1:
        for k in range(head.num_jobs):
            job = s.jobs[e, k].pushed
            push(s, e, s.jobs[e, job].submit_s, ARRIVAL, job)
        while head.heap_len > 0 and s.heap[e, 0].time <= 0.0:
            _, job = pop(s, e)
            arrive(s, e, job)
    else:
        if head.plain == 0:
            plan_failures(s, e)
            outages_at(s, e, 0.0)
        while head.num_arrived < head.num_jobs and s.jobs[e, head.num_arrived].submit_s <= 0.0:
            arrive(s, e, head.num_arrived)
    pass_time(s, e, False)


@kernel
def reset(
    head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus, e
):  # fmt: skip
    """Takes record ``e`` back to time 0 and to its first decision."""
    s = Views(
        head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus
    )
    _reset(s, e)


# Outcomes of ``step``.
OK = 0
NOT_WAITING = 1
DOES_NOT_FIT = 2
CANNOT_WAIT = 3
NOT_RUNNING = 4

# What a decision does.
START, WAIT, PREEMPT = range(3)


@kernel
def step(
    head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus,
    e, action, job, t, until_s,
):  # fmt: skip
    """One checked decision of a Python policy; returns an outcome code, and moves nothing unless it is OK."""
    s = Views(
        head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus
    )
    h = s.head[e]
    if action == START:
        if not in_window(s, e, job):
            return NOT_WAITING
        if t < 0 or t >= s.types.shape[1] or not can_start(s, e, job, t):
            return DOES_NOT_FIT
        decide(s, e, job, t)
    elif action == PREEMPT:
        if h.preemptive == 0 or job < 0 or job >= h.num_jobs or s.jobs[e, job].state != RUNNING:
            return NOT_RUNNING
        h.decisions += 1
        preempt(s, e, job)
    else:
        if not can_wait(s, e) and h.one_start == 0:
            return CANNOT_WAIT
        h.until_s = until_s if until_s > h.now else np.inf
        decide(s, e, -1, NO_TYPE)
    return OK


@helper
def gather(s, e, job, gang, submit, duration, feasible):
    """Writes the waiting jobs of the window, in order of the queue, into arrays of W rows or more; returns how many."""
    n = s.head[e].window_len
    j = s.head[e].first_waiting
    for i in range(n):
        r = s.jobs[e, j]
        job[i] = j
        gang[i] = r.gang
        submit[i] = r.submit_s
        for t in range(s.types.shape[1]):
            able = s.dur[e, j, t] < np.inf
            duration[i, t] = visible_s(s, e, j, t) if able else np.inf
            feasible[i, t] = able and fits(s, e, t, s.classes[e, r.klass])
        j = r.next
    return n


@kernel
def window(
    head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus, e,
    job, gang, submit, duration, feasible,
):  # fmt: skip
    """``gather`` for Python callers."""
    s = Views(
        head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus
    )
    return gather(s, e, job, gang, submit, duration, feasible)
