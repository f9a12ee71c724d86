"""The clock: which event comes next, and how long to let time pass before the policy is asked again.

Order of events with equal times: completions, repairs, failures, arrivals in workload order, then decisions.
``one_start`` worlds process one event per decision; with ``heapq_ties`` in the order of a heap on (time, kind),
arrivals first.
"""

from __future__ import annotations

import numpy as np

from rl_sched.sim.events import COMPLETION, drop_stale, is_stale, pop
from rl_sched.sim.failures import node_event, outages_at
from rl_sched.sim.jit import helper, routine
from rl_sched.sim.placement import fits
from rl_sched.sim.queue import arrive
from rl_sched.sim.segments import finish


@helper
def class_fits(s, e, c):
    """Could a job of class ``c`` start now on any pool?"""
    k = s.classes[e, c]
    for t in range(s.types.shape[1]):
        if (k.types >> np.uint64(t)) & np.uint64(1) and fits(s, e, t, k):
            return True
    return False


@helper
def anything_fits(s, e):
    """Could any job of the window start now?"""
    for c in range(s.head[e].num_classes):
        if s.classes[e, c].waiting > 0 and class_fits(s, e, c):
            return True
    return False


@helper
def move_clock(s, e, time):
    """Integrates up to ``time``."""
    head = s.head[e]
    dt = time - head.now
    active = head.num_waiting + head.num_running
    head.job_seconds += dt * active
    head.waiting_seconds += dt * head.num_waiting
    head.age_s2 += dt * (head.waiting_age_s + 0.5 * dt * head.num_waiting)
    head.waiting_age_s += dt * head.num_waiting
    if head.discount_s > 0.0:
        weight = np.exp((head.decided_s - head.now) / head.discount_s)
        head.discounted_s -= active * weight * head.discount_s * np.expm1(-dt / head.discount_s)
    head.busy_gpu_s += dt * head.busy
    head.now = time


@helper
def _advance_plain(s, e):
    """Moves the clock to the next event time and handles all events of that time; False if there is none.

    It stops earlier where the policy wants to be asked before. In a ``one_start`` world exactly one event is handled;
    with ``heapq_ties`` arrivals lie in the heap too.
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
    if head.until_s < time and not single:
        move_clock(s, e, head.until_s)
        head.until_s = np.inf
        return True
    move_clock(s, e, time)
    while head.heap_len > 0 and s.heap[e, 0].time == time:
        kind, job = pop(s, e)
        if kind == COMPLETION:
            finish(s, e, job)
        else:
            arrive(s, e, job)
        if single:
            return True
    while listed and head.num_arrived < head.num_jobs and s.jobs[e, head.num_arrived].submit_s == time:
        arrive(s, e, head.num_arrived)
        if single:
            return True
    return True


@routine
def _next_event_s(s, e):
    """Time of the next event; inf if there is none."""
    head = s.head[e]
    if head.num_stale > 0:
        drop_stale(s, e)
    time = s.heap[e, 0].time if head.heap_len > 0 else np.inf
    if head.num_arrived < head.num_jobs:
        time = min(time, s.jobs[e, head.num_arrived].submit_s)
    if head.next_outage < head.num_outages:
        time = min(time, s.outages[e, head.next_outage].time)
    return time


@routine
def _handle(s, e, time):
    """Moves the clock to ``time`` and handles all its events."""
    head = s.head[e]
    move_clock(s, e, time)
    while head.heap_len > 0 and s.heap[e, 0].time == time:
        kind, job = pop(s, e)
        if kind != COMPLETION:
            node_event(s, e, kind, job)
        elif is_stale(s, e, kind, job, time):
            head.num_stale = max(head.num_stale - 1, 0)
        else:
            finish(s, e, job)
    outages_at(s, e, time)
    while head.num_arrived < head.num_jobs and s.jobs[e, head.num_arrived].submit_s == time:
        arrive(s, e, head.num_arrived)


@helper
def _active(s, e):
    return s.head[e].num_waiting + s.head[e].num_running > 0


@helper
def _all_done(s, e):
    return s.head[e].num_done == s.head[e].num_jobs


@helper
def _may_decide(s, e):
    """Is there anything a policy could do now?"""
    return _active(s, e) if s.head[e].preemptive == 1 else anything_fits(s, e)


@routine
def _to_next_event(s, e):
    """To the next event, or to the time at which the policy wants to be asked; False if neither will come."""
    head = s.head[e]
    time = _next_event_s(s, e)
    if head.until_s < time:
        move_clock(s, e, max(head.until_s, head.now))
        head.until_s = np.inf
        return True
    if time == np.inf:
        return False
    _handle(s, e, time)
    return True


@routine
def _to_next_round(s, e):
    """To the next round boundary at which something may be decided, over all events up to it."""
    head = s.head[e]
    time = _next_event_s(s, e)
    if time == np.inf:
        return False
    number = head.round_no + 1
    if head.preemptive == 0 or not _active(s, e):  # the rounds without events change nothing
        first = np.int64(np.ceil(time / head.round_s))  # up to a rounding error in either direction
        if (first - 1) * head.round_s >= time:
            first -= 1
        if first * head.round_s < time:
            first += 1
        number = max(number, first)
    boundary = number * head.round_s
    while time <= boundary and not _all_done(s, e):
        _handle(s, e, time)
        time = _next_event_s(s, e)
    if not _all_done(s, e):
        move_clock(s, e, boundary)
    head.round_no = number
    return True


@routine
def _pass_general(s, e, at_least_one):
    head = s.head[e]
    while at_least_one or (not _may_decide(s, e) and not _all_done(s, e) and head.now < head.horizon_s):
        moved = _to_next_round(s, e) if head.round_s > 0.0 else _to_next_event(s, e)
        if not moved:
            head.stuck = 1
            break
        at_least_one = False
    head.until_s = np.inf


@helper
def pass_time(s, e, at_least_one):
    """Lets events happen, ``at_least_one`` if so wished, until the policy has a choice or the episode is over."""
    head = s.head[e]
    if head.plain == 0:
        _pass_general(s, e, at_least_one)
        return
    while at_least_one or (head.one_start == 0 and not anything_fits(s, e) and head.now < head.horizon_s):
        if not _advance_plain(s, e):
            break
        at_least_one = False
    head.until_s = np.inf
    # In a plain world every job fits the idle cluster, so nobody is ever stuck.
