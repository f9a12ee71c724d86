"""The queue: waiting jobs in the order of their entry; the first ``window`` of them may be started."""

from __future__ import annotations

import numpy as np

from rl_sched.sim.eventlog import ARRIVE, note
from rl_sched.sim.jit import helper, routine
from rl_sched.sim.record import RUNNING, WAITING


@helper
def _admit_next(s, e):
    """The first job beyond the window enters it."""
    head = s.head[e]
    job = head.first_waiting if head.window_last < 0 else s.jobs[e, head.window_last].next
    head.window_last = job
    head.window_len += 1
    s.classes[e, s.jobs[e, job].klass].waiting += 1


@helper
def _append(s, e, job):
    head = s.head[e]
    j = s.jobs[e, job]
    j.seq = head.num_queued
    j.state = WAITING
    head.num_queued += 1
    j.next = -1
    j.prev = head.last_waiting
    if head.last_waiting >= 0:
        s.jobs[e, head.last_waiting].next = job
    else:
        head.first_waiting = job
    head.last_waiting = job
    head.num_waiting += 1
    head.waiting_work += j.work
    head.waiting_age_s += head.now - j.submit_s
    if head.window_len < head.window:
        _admit_next(s, e)


@helper
def arrive(s, e, job):
    """The job joins the end of the queue for the first time."""
    head = s.head[e]
    s.order[e, head.num_arrived] = job
    head.num_arrived += 1
    if head.plain == 0:
        s.life[e, job].since_s = head.now
    _append(s, e, job)
    note(s, e, ARRIVE, job, 0)


@routine
def come_back(s, e, job):
    """A job that ran until now joins the end of the queue."""
    s.jobs[e, job].finish_s = np.nan
    s.life[e, job].since_s = s.head[e].now
    mark_changed(s, e, job)
    _append(s, e, job)


@helper
def mark_changed(s, e, job):
    """Puts a job that has just stopped running on the list that compiled loops follow."""
    s.life[e, job].link = s.head[e].changed
    s.head[e].changed = job


@helper
def leave(s, e, job):
    """A job of the window leaves the queue to run."""
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
    head.waiting_age_s -= head.now - j.submit_s
    head.running_work += j.work
    s.classes[e, j.klass].waiting -= 1
    if head.num_waiting > head.window_len:
        _admit_next(s, e)
    j.state = RUNNING
