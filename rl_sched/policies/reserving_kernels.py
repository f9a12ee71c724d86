"""Backfilling with reservations: one decision.

Jobs are walked through in order of submission. The first ``depth`` of each virtual cluster that cannot start reserve
their GPUs where they would finish first; the others may start where they disturb no reservation.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rl_sched.policies.profile_kernels import Gpus, Profile, build, earliest, measure, reserve
from rl_sched.policies.record_player import OVER
from rl_sched.sim.jit import helper, kernel, routine
from rl_sched.sim.kernels import complete, cut, gather
from rl_sched.sim.record import IDLE, Views


class Queue(NamedTuple):
    """Waiting jobs in order of the queue; W rows of which the first ``n`` are used, T pools."""

    job: np.ndarray  # (W,) int64
    gang: np.ndarray  # (W,) int64
    submit: np.ndarray  # (W,) s
    duration: np.ndarray  # (W, T) s
    feasible: np.ndarray  # (W, T) bool
    vc: np.ndarray  # (W,) int64, -1 = the cluster has no virtual clusters
    order: np.ndarray  # (W,) int64 scratch: rows in order of submission
    reserved: np.ndarray  # (T + 1,) int64 scratch: reservations of each virtual cluster, and of jobs without one


@helper
def _sort_by_submission(q, n):
    """Writes ``order``. Queues are sorted but for jobs that came back, hence the insertion."""
    for i in range(n):
        k = i
        while k > 0 and q.submit[q.order[k - 1]] > q.submit[i]:
            q.order[k] = q.order[k - 1]
            k -= 1
        q.order[k] = i


@routine
def _start_s(q, p, i, t):
    """When the job of row ``i`` can start on pool ``t`` beside the reservations; 0 = now, inf = never."""
    gang, duration = q.gang[i], q.duration[i, t]
    if not q.feasible[i, t]:
        # Too few GPUs are idle, or the placement cannot use them: not before another one is free.
        return earliest(p, t, gang, duration, p.release[t])
    if p.idle[t] >= gang:
        return earliest(p, t, gang, duration, 0.0)
    # There is room on a shared GPU, whose end the job may put off: all that is taken for sure is that GPU.
    rest = duration - p.release[t]
    if rest <= 0.0 or earliest(p, t, gang, rest, p.release[t]) == p.release[t]:
        return 0.0
    return earliest(p, t, gang, duration, p.release[t])


@routine
def _pool_beside(q, p, i):
    """The fastest pool on which the job of row ``i`` can start now and disturbs no reservation; -1 if none."""
    best = -1
    for t in range(q.duration.shape[1]):
        if not q.feasible[i, t] or (best >= 0 and q.duration[i, t] >= q.duration[i, best]):
            continue
        if p.idle[t] < q.gang[i]:
            if _start_s(q, p, i, t) == 0.0:
                best = t
            continue
        if not p.measured[t]:
            measure(p, t)
        if q.duration[i, t] <= p.until[t, q.gang[i]]:
            best = t
    return best


@helper
def _fastest_pool(q, i):
    best = 0
    for t in range(1, q.duration.shape[1]):
        if q.duration[i, t] < q.duration[i, best]:
            best = t
    return best


@routine
def _choose(q, n, gpus, p, depth, shortest_first):
    """(row, pool) of the job to start now; (-1, -1) = wait."""
    if n == 0:
        return -1, -1
    _sort_by_submission(q, n)
    first = q.order[0]
    if q.feasible[first, _fastest_pool(q, first)]:  # no plan can be better
        return first, _fastest_pool(q, first)
    build(p, gpus)
    for v in range(len(q.reserved)):
        q.reserved[v] = 0
    last = -1  # behind the last job that fits nobody's plans matter
    for k in range(n):
        for t in range(q.duration.shape[1]):
            if q.feasible[q.order[k], t]:
                last = k
    row, kind, shortest = -1, -1, np.inf
    for k in range(last + 1):
        i = q.order[k]
        if q.reserved[q.vc[i] + 1] >= depth:
            t = _pool_beside(q, p, i)
            if t >= 0:
                if not shortest_first:
                    return i, t
                needs = q.duration[i, _fastest_pool(q, i)]
                if needs < shortest:
                    row, kind, shortest = i, t, needs
            continue
        best, begin, finish = -1, 0.0, np.inf
        for t in range(q.duration.shape[1]):
            if q.duration[i, t] < np.inf:
                start = _start_s(q, p, i, t)
                if start + q.duration[i, t] < finish:
                    best, begin, finish = t, start, start + q.duration[i, t]
        if best < 0:
            continue  # it waits for a repair, nobody knows how long
        if begin == 0.0 and q.feasible[i, best]:
            return i, best
        reserve(p, best, q.gang[i], begin, q.duration[i, best])
        q.reserved[q.vc[i] + 1] += 1
    return row, kind


@kernel
def choose_in_record(
    head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus, e,
    depth, shortest_first,
    job, gang, submit, duration, feasible, vc, by_submission, reserved,
    pool, held, remaining,
    at, free, steps, idle, release, until, measured, known, bound,
):  # fmt: skip
    """The decision in record ``e``: (job, pool), (-1, -1) to wait, (OVER, -1) at the end.

    From ``job`` on, the fields of a ``Queue``, of ``Gpus`` and of a ``Profile``.
    """
    s = Views(
        head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus
    )
    if complete(s, e) or cut(s, e):
        return OVER, -1
    q = Queue(job, gang, submit, duration, feasible, vc, by_submission, reserved)
    n = gather(s, e, q.job, q.gang, q.submit, q.duration, q.feasible)
    for i in range(n):
        q.vc[i] = s.classes[e, s.jobs[e, q.job[i]].klass].vc
    now = s.head[e].now
    for g in range(s.gpus.shape[1]):
        r = s.gpus[e, g]
        pool[g] = r.type
        held[g] = r.job != IDLE
        remaining[g] = max(r.end_s - now, 0.0) if r.job != IDLE else 0.0
    p = Profile(at, free, steps, idle, release, until, measured, known, bound)
    row, kind = _choose(q, n, Gpus(pool, held, remaining), p, depth, shortest_first)
    return (q.job[row] if row >= 0 else -1), kind


@kernel
def choose_once(
    n, depth, shortest_first,
    job, gang, submit, duration, feasible, vc, by_submission, reserved,
    pool, held, remaining,
    at, free, steps, idle, release, until, measured, known, bound,
):  # fmt: skip
    """The decision on filled arrays, for Python callers: (row, pool) or (-1, -1); arguments as above."""
    q = Queue(job, gang, submit, duration, feasible, vc, by_submission, reserved)
    p = Profile(at, free, steps, idle, release, until, measured, known, bound)
    return _choose(q, n, Gpus(pool, held, remaining), p, depth, shortest_first)
