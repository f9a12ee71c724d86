"""Round robin over users: one decision."""

from __future__ import annotations

import numpy as np

from rl_sched.policies.record_player import OVER
from rl_sched.sim.events import COMPLETION, is_stale
from rl_sched.sim.jit import kernel, routine
from rl_sched.sim.kernels import complete, cut, gather
from rl_sched.sim.record import Views


@routine
def _choose(n, job, submit, duration, feasible, user, running, last):
    """(row, pool) of the job to start now; (-1, -1) = nothing fits."""
    row, kind = -1, -1
    for i in range(n):
        best = -1
        for t in range(duration.shape[1]):
            if feasible[i, t] and (best < 0 or duration[i, t] < duration[i, best]):
                best = t
        if best < 0:
            continue
        if row >= 0:
            a, b = user[job[i]], user[job[row]]
            if running[a] != running[b]:
                before = running[a] < running[b]
            elif last[a] != last[b]:
                before = last[a] < last[b]
            else:
                before = submit[i] < submit[row]
            if not before:
                continue
        row, kind = i, best
    return row, kind


@kernel
def choose_in_record(
    head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus, e,
    user, running, last, job, gang, submit, duration, feasible,
):  # fmt: skip
    """The decision in record ``e``: (job, pool), (-1, -1) to wait, (OVER, -1) at the end.

    Args:
        user: (J,) user of each job, 0 to U - 1.
        running, last: (U,) scratch: jobs of each user that run, and the last start of one of them.
        job, gang, submit, duration, feasible: Scratch for ``kernels.gather``.
    """
    s = Views(
        head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus
    )
    if complete(s, e) or cut(s, e):
        return OVER, -1
    for u in range(len(running)):
        running[u], last[u] = 0, -np.inf
    h = s.head[e]
    for k in range(h.heap_len):
        r = s.heap[e, k]
        if r.kind == COMPLETION and not is_stale(s, e, r.kind, r.job, r.time):
            start = s.jobs[e, r.job].start_s if h.plain == 1 else s.life[e, r.job].segment_s
            running[user[r.job]] += 1
            last[user[r.job]] = max(last[user[r.job]], start)
    n = gather(s, e, job, gang, submit, duration, feasible)
    row, kind = _choose(n, job, submit, duration, feasible, user, running, last)
    return (job[row] if row >= 0 else -1), kind


@kernel
def choose_once(n, job, submit, duration, feasible, user, running, last):
    """The decision on filled arrays, for Python callers: (row, pool) or (-1, -1)."""
    return _choose(n, job, submit, duration, feasible, user, running, last)
