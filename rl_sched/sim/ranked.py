"""The second door: policies that are a fixed ranking of jobs, run to the end inside the kernel.

Waiting jobs lie in one heap per class (gang, share, possible pools). Jobs of a class fit or do not fit together, so
the best startable job is the best of the class heads: O(classes + log jobs) per start, whatever the queue's length.
"""

from __future__ import annotations

import numpy as np

from rl_sched.sim.heaps import ENTRY, heap_pop, heap_push, lay_out
from rl_sched.sim.jit import helper, kernel
from rl_sched.sim.kernels import class_fits, complete, cut, decide, fastest_type, log_is_full
from rl_sched.sim.record import WAITING, State, Views
from rl_sched.sim.watching import BEGIN, END, Watch, play_in_slices

#: Decisions of the first slice: some milliseconds, since each costs less than a microsecond.
FIRST_SLICE = 4096


@helper
def _before(entries, base, a, b):
    """Does the head of class ``a`` come before that of ``b``?"""
    x, y = entries[base[a]], entries[base[b]]
    return x.key < y.key or (x.key == y.key and x.seq < y.seq)


@helper
def _is_first(s, e, entries, base, length, c):
    """Is the head of class ``c`` the first of all waiting jobs of its virtual cluster?"""
    for other in range(s.head[e].num_classes):
        same = s.classes[e, other].vc == s.classes[e, c].vc
        if same and length[other] > 0 and _before(entries, base, other, c):
            return False
    return True


@helper
def _in_one_heap(s, e, strict):
    """A strict order without virtual clusters only ever looks at the first of all jobs: no heap per class is needed."""
    return strict and s.classes[e, 0].vc < 0


@helper
def _add(s, e, rank, entries, base, length, strict, job):
    c = 0 if _in_one_heap(s, e, strict) else s.jobs[e, job].klass
    heap_push(entries, base[c], length[c], rank[job], s.jobs[e, job].seq, job)
    length[c] += 1


@helper
def _choose(s, e, entries, base, length, strict):
    """Class whose head is to be started now; -1 = wait."""
    if _in_one_heap(s, e, strict):
        return 0 if length[0] > 0 and class_fits(s, e, s.jobs[e, entries[0].job].klass) else -1
    best = -1
    for c in range(s.head[e].num_classes):
        if length[c] > 0 and (best < 0 or _before(entries, base, c, best)) and class_fits(s, e, c):
            if not strict or _is_first(s, e, entries, base, length, c):
                best = c
    return best


@kernel
def _run(
    head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus, e,
    rank, strict, entries, base, length, admitted, budget,
):  # fmt: skip
    """Plays up to ``budget`` decisions; returns the number of arrivals in the heaps, or END."""
    s = Views(
        head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus
    )
    h = s.head[e]
    if admitted == BEGIN:
        lay_out(s, e, base, length)
        admitted = 0
    for _ in range(budget):
        if complete(s, e) or cut(s, e):
            return END
        if log_is_full(s, e):
            break
        # Without a limit of the window all that have arrived may be started, else those that have entered it.
        limit = h.num_arrived if h.plain == 0 else h.num_running + h.num_done + h.window_len
        known = admitted
        while admitted < limit:
            _add(s, e, rank, entries, base, length, strict, s.order[e, admitted])
            admitted += 1
        while h.changed >= 0:
            job = h.changed
            h.changed = s.life[e, job].link
            # One that arrived and came back between two decisions cannot be: it must have been started.
            if s.jobs[e, job].state == WAITING and s.jobs[e, job].seq >= known:
                _add(s, e, rank, entries, base, length, strict, job)
        c = _choose(s, e, entries, base, length, strict)
        job, kind = -1, -1
        if c >= 0:
            job = entries[base[c]].job
            kind = fastest_type(s, e, job)
            heap_pop(entries, base[c], length[c])
            length[c] -= 1
        decide(s, e, job, kind)
    return admitted


def run_ranked(state: State, e: int, rank: np.ndarray, *, strict: bool, watch: Watch | None = None) -> None:
    """Runs record ``e`` to its end: jobs start in order of ``rank``, each on the fastest type where it fits.

    Args:
        state: The state; record ``e`` is loaded and reset.
        e: Record number.
        rank: (n,) float64; lower starts first, ties in order of the queue.
        strict: The first job in rank blocks all others (of its virtual cluster) until it fits; else the first that
            fits is started.
        watch: Beside the run.
    """
    jobs, classes = state.views.jobs.shape[1], state.views.classes.shape[1]
    entries, base, length = np.empty(jobs, ENTRY), np.empty(classes, np.int64), np.empty(classes, np.int64)
    rank = np.ascontiguousarray(rank, np.float64)

    def play(mark: int, budget: int) -> int:
        return int(_run(*state.views, e, rank, strict, entries, base, length, mark, budget))

    play_in_slices(play, state, e, watch, budget=FIRST_SLICE)
