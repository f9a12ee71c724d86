"""The jobs that a learner sees, one row each, and the ends of running jobs: both follow the record step by step.

What every step needs of the jobs in the window lies side by side here; in a record they lie scattered among all jobs,
and following their list would cost a cache miss per job.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rl_sched.sim.jit import helper, routine
from rl_sched.sim.record import IDLE
from rl_sched.sim.segments import visible_s

ROW = np.dtype([("submit_s", "f8"), ("job", "i4"), ("klass", "i4")], align=True)


class Shown(NamedTuple):
    """Of N environments with windows of W jobs, T GPU types and G GPUs."""

    used: np.ndarray  # (N,) int64 rows in use
    rows: np.ndarray  # (N, W) ROW, oldest first
    duration: np.ndarray  # (N, W, T) s, inf = impossible
    ends: np.ndarray  # (N, T, G) s, ascending: when 1, 2, ... GPUs of the type are free; inf beyond its size
    kinds: tuple[int, ...]  # 0 .. T-1; the compiler knows a tuple's length and unrolls loops over it


def new_shown(num_envs: int, window: int, num_types: int, num_gpus: int) -> Shown:
    """Nothing shown, no job running."""
    return Shown(
        used=np.zeros(num_envs, np.int64),
        rows=np.zeros((num_envs, window), ROW),
        duration=np.zeros((num_envs, window, num_types)),
        ends=np.full((num_envs, num_types, num_gpus), np.inf),
        kinds=tuple(range(num_types)),
    )


@helper
def follows(s, e):
    """Are rows and ends kept up job by job? Not where jobs stop early, come back, or share GPUs: see ``look_again``."""
    return s.head[e].plain == 1 and s.head[e].shared == 0


@helper
def occupy(s, e, shown, job, t):
    """Notes the end of a job that is about to start on type ``t``.

    The entries of idle GPUs, the first ones, are never read: nothing need be done when a job ends, since those that
    run always hold the last entries.
    """
    gang = s.jobs[e, job].gang
    end_s = s.head[e].now + s.dur[e, job, t]
    k = s.types[e, t].free
    while k < s.types[e, t].total and shown.ends[e, t, k] < end_s:
        shown.ends[e, t, k - gang] = shown.ends[e, t, k]
        k += 1
    for i in range(k - gang, k):
        shown.ends[e, t, i] = end_s


@routine
def look_again(s, e, shown):
    """Forgets all rows and reads the ends of running jobs anew.

    For worlds that are not plain (``sim.record``), where jobs also leave their GPUs early and come back to the queue,
    and for shared GPUs, of which a job takes no whole one.
    """
    shown.used[e] = 0
    for t in range(s.types.shape[1]):
        n = s.types[e, t].free
        for g in range(s.gpus.shape[1]):
            r = s.gpus[e, g]
            if r.type == t and r.job != IDLE:
                k = n
                while k > s.types[e, t].free and shown.ends[e, t, k - 1] > r.end_s:
                    shown.ends[e, t, k] = shown.ends[e, t, k - 1]
                    k -= 1
                shown.ends[e, t, k] = r.end_s
                n += 1


@helper
def free_after(s, e, shown, t, gang):
    """Seconds until ``gang`` GPUs of type ``t`` are free; inf if it has fewer."""
    if gang <= s.types[e, t].free:
        return 0.0
    return max(shown.ends[e, t, gang - 1] - s.head[e].now, 0.0)


@helper
def fill_look(s, e, shown, look):
    """What a rule sees of environment ``e``; the rows and the marks of ``mark_fits`` are of the present moment."""
    for i in range(shown.used[e]):
        row = shown.rows[e, i]
        klass = s.classes[e, row.klass]
        look.job[i] = row.job
        look.gang[i] = klass.gang
        look.submit[i] = row.submit_s
        for t in range(len(shown.kinds)):
            look.duration[i, t] = shown.duration[e, i, t]
            look.feasible[i, t] = (klass.fits >> np.uint64(t)) & np.uint64(1) != np.uint64(0)
    for t in range(len(shown.kinds)):
        look.free[t] = s.types[e, t].free
        for k in range(s.types[e, t].total):
            look.free_at[t, k] = free_after(s, e, shown, t, k + 1)


@helper
def remove(e, shown, jobs, slot):
    """Takes a row out; the later ones, and with them their features in ``jobs`` (N, W, Fj), move up."""
    last = shown.used[e] - 1
    for i in range(slot, last):
        row, following = shown.rows[e, i], shown.rows[e, i + 1]
        row.submit_s = following.submit_s
        row.job = following.job
        row.klass = following.klass
        for t in range(len(shown.kinds)):
            shown.duration[e, i, t] = shown.duration[e, i + 1, t]
        for k in range(jobs.shape[2]):
            jobs[e, i, k] = jobs[e, i + 1, k]
    shown.used[e] = last


@helper
def next_job(s, e, shown):
    """The job of the window that follows the last row."""
    n = shown.used[e]
    return s.head[e].first_waiting if n == 0 else s.jobs[e, shown.rows[e, n - 1].job].next


@helper
def append(s, e, shown, job):
    """Adds a row for ``job``; returns its number."""
    n = shown.used[e]
    row, j = shown.rows[e, n], s.jobs[e, job]
    row.submit_s = j.submit_s
    row.job = job
    row.klass = j.klass
    for t in range(len(shown.kinds)):
        shown.duration[e, n, t] = visible_s(s, e, job, t) if s.dur[e, job, t] < np.inf else np.inf
    shown.used[e] = n + 1
    return n
