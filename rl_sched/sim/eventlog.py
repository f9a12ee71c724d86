"""The event log: what happened, in order, while a record is ``logging``.

Python empties the log between two calls of a kernel (``drain``); ``kernels.log_is_full`` says when it must.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rl_sched.sim.jit import helper, routine

#: Kinds of rows. The ``job`` of the last two is a node.
ARRIVE, START, PREEMPT, KILL, FINISH, NODE_DOWN, NODE_UP = range(7)
KIND_NAMES = ("arrive", "start", "preempt", "kill", "finish", "node_down", "node_up")

#: ``HEAD.logging`` after more outages happened between two decisions than the log has room for.
OVERFLOWN = 2


@routine
def _write(s, e, kind, job, count):
    head = s.head[e]
    if head.log_len == s.log.shape[1] or head.log_gpus_len + count > s.log_gpus.shape[1]:
        head.logging = OVERFLOWN
        return
    row = s.log[e, head.log_len]
    row.time_s = head.now
    row.kind = kind
    row.job = job
    row.type = s.jobs[e, job].type if kind < NODE_DOWN else -1
    row.first = head.log_gpus_len
    row.gpus = count
    for k in range(count):
        s.log_gpus[e, head.log_gpus_len + k] = s.alloc[e, s.jobs[e, job].alloc + k]
    head.log_gpus_len += count
    head.log_len += 1


@helper
def note(s, e, kind, job, count):
    """Appends a row if the record is logging; ``count`` GPUs of the job are kept with it."""
    if s.head[e].logging == 1:
        _write(s, e, kind, job, count)


@helper
def log_is_full(s, e):
    """May the next decision bring more events than the log has room for?

    A decision starts or preempts one job, and until the next one every running job may finish or be killed, every
    job that has not arrived may do so, and nodes may fail and come back (random ones again and again: half of the log
    is kept for them).
    """
    head = s.head[e]
    if head.logging == 0:
        return False
    need = (head.num_jobs - head.num_arrived) + 2 * s.heap.shape[1] + head.num_outages + 8
    if head.mtbf_s > 0.0:
        need = max(need, s.log.shape[1] // 2)
    return head.log_len + need > s.log.shape[1] or head.log_gpus_len + s.gpus.shape[1] > s.log_gpus.shape[1]


class LogPart(NamedTuple):
    """Rows of a log and the GPUs of their starts."""

    rows: np.ndarray  # (K,) record.LOG; ``first`` counts from the start of ``gpus``
    gpus: np.ndarray  # (A,) int32
