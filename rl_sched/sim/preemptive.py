"""Preemptive rankings inside the kernel: SRTF, LAS, Tiresias.

At every decision all jobs, waiting and running, are walked through in order of their keys with a quota of GPUs per
pool, at first all GPUs in service: a running job whose gang fits the quota keeps its GPUs, one whose gang does not is
preempted; a waiting job takes quota on the fastest pool that has enough. Then the chosen waiting jobs are placed in
that order; one that cannot be placed, since the free GPUs lie on the wrong nodes, waits on but has used its quota.
At equal keys waiting jobs come first, in order of the queue; running ones follow in order of their starts.

Keys of running jobs all change at the same rate, so their order stands until one starts or leaves. Of the waiting
jobs the walk sees the heads of the class heaps only: as the quota only shrinks, a class that was skipped once is
skipped for the rest of the walk. Of the running ones it sees those behind the first head; those before it keep their
GPUs, since what runs fits together. And it stops where what is left fits beside what was picked.
"""

from __future__ import annotations

import numpy as np

from rl_sched.sim.heaps import ENTRY, heap_pop, heap_push, lay_out
from rl_sched.sim.jit import helper, kernel, routine
from rl_sched.sim.kernels import complete, cut, log_is_full, pass_time
from rl_sched.sim.placement import fits
from rl_sched.sim.record import RUNNING, WAITING, State, Views
from rl_sched.sim.running import Runs, insert, need_of, remove, skip_kept, skip_to
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

PICK = np.dtype([("key", "f8"), ("seq", "i4"), ("job", "i4"), ("type", "i4"), ("klass", "i4")])


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
def _pool_with_quota(s, e, quota, job):
    """The pool on which the job appears to need the least time among those with quota for it; -1 if none."""
    best, best_s = -1, np.inf
    for t in range(s.types.shape[1]):
        if s.dur[e, job, t] < np.inf and quota[t] >= need_of(s, e, job):
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


@helper
def _fill_quota(s, e, quota):
    """All GPUs in service."""
    for t in range(s.types.shape[1]):
        quota[t] = s.types[e, t].total * WHOLE_GPU
    if s.head[e].num_down > 0:
        for m in range(s.nodes.shape[1]):
            if s.nodes[e, m].down > 0:
                quota[s.nodes[e, m].type] -= s.nodes[e, m].size * WHOLE_GPU


@routine
def _walk(s, e, shift, runs, n, entries, base, length, dead, quota, spare, picks):
    """Marks the running jobs that keep their GPUs and picks waiting ones.

    Returns:
        The number of picks, how many running jobs are preempted, and the first with a mark.
    """
    _fill_quota(s, e, quota)
    for t in range(s.types.shape[1]):
        spare[t] = quota[t] - runs.used[t]
    for c in range(s.head[e].num_classes):
        dead[c] = 0
    c = _first_alive(s, e, entries, base, length, dead, quota)
    if c < 0:
        return 0, 0, n
    i = skip_to(s, e, shift, runs, n, entries[base[c]].key, quota, spare)
    picked, lost, first = 0, 0, n
    while c >= 0:
        key = entries[base[c]].key
        if picked == 0:  # nobody new yet: those that run fit together
            while i < n and runs.key[i] + shift < key:
                quota[runs.type[i]] -= runs.need[i]
                i += 1
            first = i
        else:
            while i < n and runs.key[i] + shift < key:
                runs.keep[i] = quota[runs.type[i]] >= runs.need[i]
                if runs.keep[i]:
                    quota[runs.type[i]] -= runs.need[i]
                else:
                    spare[runs.type[i]] += runs.need[i]
                    lost += 1
                i += 1
        head = entries[base[c]]
        t = _pool_with_quota(s, e, quota, head.job)
        if t < 0:
            dead[c] = 1
        else:
            p = picks[picked]
            p.key, p.seq, p.job, p.type, p.klass = head.key, head.seq, head.job, t, c
            picked += 1
            quota[t] -= need_of(s, e, head.job)
            spare[t] -= need_of(s, e, head.job)
            heap_pop(entries, base[c], length[c])
            length[c] -= 1
        c = _first_alive(s, e, entries, base, length, dead, quota)
    if picked > 0:
        for k in range(skip_kept(s, e, runs, i, n, quota, spare), n):
            runs.keep[k] = quota[runs.type[k]] >= runs.need[k]
            if runs.keep[k]:
                quota[runs.type[k]] -= runs.need[k]
            else:
                lost += 1
    return picked, lost, first


@routine
def _drop_preempted(s, e, order, quantum, runs, first, n, entries, base, length):
    """Preempts the running jobs without ``keep``, in order, from ``first`` on; returns how many run on."""
    kept = first
    for i in range(first, n):
        job = runs.job[i]
        if runs.keep[i]:
            if kept < i:
                runs.key[kept], runs.job[kept] = runs.key[i], runs.job[i]
                runs.need[kept], runs.type[kept] = runs.need[i], runs.type[i]
            kept += 1
            continue
        runs.used[runs.type[i]] -= runs.need[i]
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
        while runs.key[i] < _SECOND_QUEUE and _queue_no(s, e, runs.job[i], quantum) > 0.0:
            job = runs.job[i]
            remove(s, e, runs, n, job)
            insert(s, e, runs, n - 1, job, _running_key(s, e, TIRESIAS, quantum, job))


@routine
def _next_look_s(s, e, order, quantum, runs, n):
    """When the order of jobs may change although nothing happens; inf = never."""
    if order == LAS and quantum > 0.0 and s.head[e].num_waiting > 0 and s.head[e].num_running > 0:
        return s.head[e].now + quantum
    next_s = np.inf
    if order == TIRESIAS:
        for i in range(n):
            if runs.key[i] >= _SECOND_QUEUE:
                break
            life = s.life[e, runs.job[i]]
            next_s = min(next_s, life.segment_s + (quantum / s.jobs[e, runs.job[i]].gang - life.attained_s))
    return next_s


@kernel
def _run(
    head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus, e,
    ranking, quantum, key, job, need, pool, keep, used, entries, base, length, dead, quota, spare, picks, mark, budget,
):  # fmt: skip
    """Plays up to ``budget`` instants; returns a mark (arrivals known, running jobs known), or END."""
    s = Views(
        head, jobs, dur, gpus, nodes, types, classes, bits, counts, heap, alloc, order, life, outages, log, log_gpus
    )
    runs = Runs(key, job, need, pool, keep, used)
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
            row = h.changed
            h.changed = s.life[e, row].link
            n = remove(s, e, runs, n, row)
            if s.jobs[e, row].state == WAITING and s.jobs[e, row].seq >= known:
                _add_waiting(s, e, ranking, quantum, entries, base, length, row)
        if ranking == TIRESIAS:
            _move_crossed(s, e, quantum, runs, n)
        shift = _shift(s, e, ranking)
        picked, lost, first = _walk(s, e, shift, runs, n, entries, base, length, dead, quota, spare, picks)
        if lost > 0:
            n = _drop_preempted(s, e, ranking, quantum, runs, first, n, entries, base, length)
        for i in range(picked):
            if cut(s, e):
                return END
            p = picks[i]
            if fits(s, e, p.type, s.classes[e, p.klass]):
                h.decisions += 1
                start(s, e, p.job, p.type)
                insert(s, e, runs, n, p.job, _running_key(s, e, ranking, quantum, p.job))
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
        np.zeros(running),
        np.zeros(running, np.int32),
        np.zeros(running, np.int32),
        np.zeros(running, np.int32),
        np.zeros(running, np.bool_),
        np.zeros(v.types.shape[1], np.int64),
        np.empty(v.jobs.shape[1], ENTRY),
        np.empty(classes, np.int64),
        np.empty(classes, np.int64),
        np.empty(classes, np.int64),
        np.empty(v.types.shape[1], np.int64),
        np.empty(v.types.shape[1], np.int64),
        np.empty(running, PICK),
    )

    def play(mark: int, budget: int) -> int:
        return int(_run(*v, e, order, quantum, *scratch, mark, budget))

    play_in_slices(play, state, e, watch)
