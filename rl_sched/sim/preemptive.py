"""Preemptive rankings inside the kernel: SRTF, LAS, Tiresias.

At every decision all jobs, waiting and running, are walked through in order of their keys with a quota of GPUs per
pool, at first all GPUs in service: a running job whose gang fits the quota keeps its GPUs, one whose gang does not is
preempted; a waiting job takes quota on the fastest pool that has enough. Then the chosen waiting jobs are placed in
that order; one that cannot be placed, since the free GPUs lie on the wrong nodes, waits on but has used its quota.
At equal keys waiting jobs come first, in order of the queue; running ones follow in order of their starts.

Keys of running jobs all change at the same rate, so their order stands until one starts or leaves: the walk is
linear in the running jobs, and of the waiting ones it sees the heads of the class heaps only (as the quota only
shrinks, a class that was skipped once is skipped for the rest of the walk).
"""

from __future__ import annotations

import numpy as np

from rl_sched.sim.heaps import ENTRY, heap_pop, heap_push, lay_out
from rl_sched.sim.jit import helper, kernel, routine
from rl_sched.sim.kernels import complete, cut, log_is_full, pass_time
from rl_sched.sim.placement import fits
from rl_sched.sim.record import RUNNING, WAITING, State, Views
from rl_sched.sim.segments import preempt, start, visible_s
from rl_sched.sim.watching import BEGIN, END, Watch, play_in_slices
from rl_sched.workload import WHOLE_GPU

#: Orders: shortest remaining time; least attained time; Tiresias' queues of attained GPU time, FIFO inside.
SRTF, LAS, TIRESIAS = range(3)

#: Keys of Tiresias: the row of the job, plus this in the second queue.
_SECOND_QUEUE = 4294967296.0
#: Jobs count as having attained the quantum this much earlier, so that rounding of the clock plays no part.
QUANTUM_TOLERANCE = 1e-9
_MARK_BITS = 31
_MARK_MASK = (1 << _MARK_BITS) - 1

#: Running jobs in order of their keys. ``key`` is static: the key at time t is key - t (SRTF), key + t (LAS), key.
RUN = np.dtype([("key", "f8"), ("job", "i4"), ("need", "i4"), ("type", "i4"), ("keep", "i4")])
PICK = np.dtype([("key", "f8"), ("seq", "i4"), ("job", "i4"), ("type", "i4"), ("klass", "i4")])


@helper
def _need(s, e, job):
    """Thousandths of GPUs."""
    j = s.jobs[e, job]
    return j.gang * s.classes[e, j.klass].milli


@helper
def _attained_s(s, e, job):
    life = s.life[e, job]
    if s.jobs[e, job].state == RUNNING:
        return life.attained_s + (s.head[e].now - life.segment_s)
    return life.attained_s


@helper
def _queue_no(s, e, job, quantum):
    """Tiresias: 0 until the job has attained ``quantum`` GPU-seconds, then 1."""
    attained = _attained_s(s, e, job) * s.jobs[e, job].gang
    return 1.0 if attained >= quantum * (1.0 - QUANTUM_TOLERANCE) else 0.0


@helper
def _best_visible_s(s, e, job):
    best = np.inf
    for t in range(s.types.shape[1]):
        if s.dur[e, job, t] < np.inf:
            best = min(best, visible_s(s, e, job, t))
    return best


@helper
def _waiting_key(s, e, order, quantum, job):
    if order == SRTF:
        return _best_visible_s(s, e, job)
    if order == LAS:
        return s.life[e, job].attained_s
    return _queue_no(s, e, job, quantum) * _SECOND_QUEUE + job


@helper
def _running_key(s, e, order, quantum, job):
    """The static part of the key of a running job."""
    life = s.life[e, job]
    if order == SRTF:
        return life.end_s
    if order == LAS:
        return life.attained_s - life.segment_s
    return _queue_no(s, e, job, quantum) * _SECOND_QUEUE + job


@helper
def _shift(s, e, order):
    """What is added to the static key of a running job to compare it with those of waiting ones."""
    if order == SRTF:
        return -s.head[e].now
    if order == LAS:
        return s.head[e].now
    return 0.0


@helper
def _copy_run(a, b):
    a.key, a.job, a.need, a.type, a.keep = b.key, b.job, b.need, b.type, b.keep


@helper
def _started_later(s, e, a, b):
    """Did ``a`` start after ``b``, or at the same time but after it in the queue?"""
    x, y = s.life[e, a].segment_s, s.life[e, b].segment_s
    return x > y or (x == y and s.jobs[e, a].seq > s.jobs[e, b].seq)


@routine
def _insert(s, e, order, quantum, runs, n, job):
    """Puts a running job into its place among ``n``; equal keys in order of their starts."""
    key = _running_key(s, e, order, quantum, job)
    low, high = 0, n
    while low < high:
        middle = (low + high) >> 1
        if runs[middle].key <= key:
            low = middle + 1
        else:
            high = middle
    while low > 0 and runs[low - 1].key == key and _started_later(s, e, runs[low - 1].job, job):
        low -= 1
    for i in range(n, low, -1):
        _copy_run(runs[i], runs[i - 1])
    r = runs[low]
    r.key, r.job, r.need, r.type, r.keep = key, job, _need(s, e, job), s.jobs[e, job].type, 1
    s.life[e, job].key = key


@routine
def _remove(s, e, runs, n, job):
    """Takes a job out of the list; returns the new length."""
    key = s.life[e, job].key
    low, high = 0, n
    while low < high:
        middle = (low + high) >> 1
        if runs[middle].key < key:
            low = middle + 1
        else:
            high = middle
    while low < n and runs[low].job != job:
        low += 1
    if low == n:
        return n
    for i in range(low, n - 1):
        _copy_run(runs[i], runs[i + 1])
    return n - 1


@helper
def _pool_with_quota(s, e, quota, job):
    """The pool on which the job appears to need the least time among those with quota for it; -1 if none."""
    best, best_s = -1, np.inf
    for t in range(s.types.shape[1]):
        if s.dur[e, job, t] < np.inf and quota[t] >= _need(s, e, job):
            need_s = visible_s(s, e, job, t)
            if need_s < best_s:
                best, best_s = t, need_s
    return best


@routine
def _first_alive(s, e, entries, base, length, dead, quota):
    """The class whose head comes first among those that may still get quota; -1 if there is none."""
    best = -1
    for c in range(s.head[e].num_classes):
        if dead[c] == 1 or length[c] == 0:
            continue
        k = s.classes[e, c]
        alive = False
        for t in range(s.types.shape[1]):
            alive |= (k.types >> np.uint64(t)) & np.uint64(1) != np.uint64(0) and quota[t] >= k.gang * k.milli
        if not alive:
            dead[c] = 1
            continue
        if best >= 0:
            x, y = entries[base[c]], entries[base[best]]
            if y.key < x.key or (y.key == x.key and y.seq < x.seq):
                continue
        best = c
    return best


@routine
def _walk(s, e, shift, runs, n, entries, base, length, dead, quota, picks):
    """Marks the running jobs that keep their GPUs and picks waiting ones; returns (number of picks, preempted)."""
    for t in range(s.types.shape[1]):
        quota[t] = s.types[e, t].total * WHOLE_GPU
    if s.head[e].num_down > 0:
        for m in range(s.nodes.shape[1]):
            if s.nodes[e, m].down > 0:
                quota[s.nodes[e, m].type] -= s.nodes[e, m].size * WHOLE_GPU
    for c in range(s.head[e].num_classes):
        dead[c] = 0
    picked, lost = 0, 0
    c = _first_alive(s, e, entries, base, length, dead, quota)
    i = 0
    while c >= 0 or (picked > 0 and i < n):
        key = entries[base[c]].key if c >= 0 else np.inf
        if picked == 0:  # nobody new yet: those that run fit together
            while i < n and runs[i].key + shift < key:
                quota[runs[i].type] -= runs[i].need
                i += 1
        else:
            while i < n and runs[i].key + shift < key:
                r = runs[i]
                r.keep = quota[r.type] >= r.need
                if r.keep == 1:
                    quota[r.type] -= r.need
                else:
                    lost += 1
                i += 1
        if c < 0:
            break
        head = entries[base[c]]
        t = _pool_with_quota(s, e, quota, head.job)
        if t < 0:
            dead[c] = 1
        else:
            p = picks[picked]
            p.key, p.seq, p.job, p.type, p.klass = head.key, head.seq, head.job, t, c
            picked += 1
            quota[t] -= _need(s, e, head.job)
            heap_pop(entries, base[c], length[c])
            length[c] -= 1
        c = _first_alive(s, e, entries, base, length, dead, quota)
    return picked, lost


@routine
def _drop_preempted(s, e, order, quantum, runs, n, entries, base, length):
    """Preempts the running jobs without ``keep``, in order; returns how many run on."""
    kept = 0
    for i in range(n):
        job = runs[i].job
        if runs[i].keep == 1:
            if kept < i:
                _copy_run(runs[kept], runs[i])
            kept += 1
            continue
        s.head[e].decisions += 1
        preempt(s, e, job)
        s.head[e].changed = s.life[e, job].link  # the loop knows
        _add_waiting(s, e, order, quantum, entries, base, length, job)
        if cut(s, e):
            break
    return kept


@helper
def _add_waiting(s, e, order, quantum, entries, base, length, job):
    j = s.jobs[e, job]
    key = _waiting_key(s, e, order, quantum, job)
    heap_push(entries, base[j.klass], length[j.klass], key, j.seq, job)
    length[j.klass] += 1


@routine
def _move_crossed(s, e, quantum, runs, n):
    """Tiresias: running jobs that have attained the quantum move to the second queue."""
    for i in range(n):
        while runs[i].key < _SECOND_QUEUE and _queue_no(s, e, runs[i].job, quantum) > 0.0:
            job = runs[i].job
            _remove(s, e, runs, n, job)
            _insert(s, e, TIRESIAS, quantum, runs, n - 1, job)


@routine
def _next_look_s(s, e, order, quantum, runs, n):
    """When the order of jobs may change although nothing happens; inf = never."""
    if order == LAS and quantum > 0.0 and s.head[e].num_waiting > 0 and s.head[e].num_running > 0:
        return s.head[e].now + quantum
    next_s = np.inf
    if order == TIRESIAS:
        for i in range(n):
            if runs[i].key >= _SECOND_QUEUE:
                break
            life = s.life[e, runs[i].job]
            next_s = min(next_s, life.segment_s + (quantum / s.jobs[e, runs[i].job].gang - life.attained_s))
    return next_s


@kernel
def _run(
    head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus, e,
    ranking, quantum, runs, entries, base, length, dead, quota, picks, mark, budget,
):  # fmt: skip
    """Plays up to ``budget`` instants; returns a mark (arrivals known, running jobs known), or END."""
    s = Views(
        head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus
    )
    h = s.head[e]
    if mark == BEGIN:
        lay_out(s, e, base, length)
        mark = 0
    admitted, n = mark & _MARK_MASK, mark >> _MARK_BITS
    for _ in range(budget):
        if complete(s, e) or cut(s, e):
            return END
        if log_is_full(s, e):
            break
        known = admitted
        while admitted < h.num_arrived:
            _add_waiting(s, e, ranking, quantum, entries, base, length, s.order[e, admitted])
            admitted += 1
        while h.changed >= 0:
            job = h.changed
            h.changed = s.life[e, job].link
            n = _remove(s, e, runs, n, job)
            if s.jobs[e, job].state == WAITING and s.jobs[e, job].seq >= known:
                _add_waiting(s, e, ranking, quantum, entries, base, length, job)
        if ranking == TIRESIAS:
            _move_crossed(s, e, quantum, runs, n)
        picked, lost = _walk(s, e, _shift(s, e, ranking), runs, n, entries, base, length, dead, quota, picks)
        if lost > 0:
            n = _drop_preempted(s, e, ranking, quantum, runs, n, entries, base, length)
        for i in range(picked):
            if cut(s, e):
                return END
            p = picks[i]
            if fits(s, e, p.type, s.classes[e, p.klass]):
                h.decisions += 1
                start(s, e, p.job, p.type)
                _insert(s, e, ranking, quantum, runs, n, p.job)
                n += 1
            else:
                heap_push(entries, base[p.klass], length[p.klass], p.key, p.seq, p.job)
                length[p.klass] += 1
        if cut(s, e):
            return END
        h.until_s = _next_look_s(s, e, ranking, quantum, runs, n)
        h.decisions += 1
        pass_time(s, e, True)
    return admitted | (n << _MARK_BITS)


def run_preemptive(state: State, e: int, order: int, quantum: float, *, watch: Watch | None = None) -> None:
    """Runs record ``e`` to its end under a preemptive order.

    Args:
        state: The state, its rules with preemption and without a window; record ``e`` is loaded and reset.
        e: Record number.
        order: SRTF, LAS or TIRESIAS.
        quantum: LAS: seconds after which the order is looked at again while jobs wait and run (0 = at events only).
            Tiresias: GPU-seconds after which a job leaves the first queue.
        watch: Beside the run.
    """
    v = state.views
    classes, running = v.classes.shape[1], state.sizes.running + 1
    scratch = (
        np.zeros(running, RUN),
        np.empty(v.jobs.shape[1], ENTRY),
        np.empty(classes, np.int64),
        np.empty(classes, np.int64),
        np.empty(classes, np.int64),
        np.empty(v.types.shape[1], np.int64),
        np.empty(running, PICK),
    )

    def play(mark: int, budget: int) -> int:
        return int(_run(*v, e, order, quantum, *scratch, mark, budget))

    play_in_slices(play, state, e, watch)
