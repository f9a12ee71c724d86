"""The compiled machine: queues of CPUs, GPUs and links, memory that fills and empties, and the exact best fraction.

Notation, for one task decided at time ``now`` and one GPU: f = fraction on the GPU, d = seconds on a CPU, g = seconds
on a GPU, tau = seconds of copying, all for the whole task; C = when a CPU is free. The GPU's part ends at
``E(f) = max(S(f) + f tau, G) + launch + f g``, where G = when the GPU is free and S(f) = when copying can begin: not
before the link is free and the GPU's memory has room, so that it is a step function that grows with f. Between two of
its steps the time at which the task is done is convex and piecewise linear in f, with few kinks: the best fraction is
at the end of a step or at a kink, and all of them are tried (``_best_on``).
"""

from __future__ import annotations

import numpy as np

from rl_sched.sim.heaps import heap_pop, heap_push
from rl_sched.sim.jit import helper, kernel

#: No task, no device. Written out here because machine code is kept by the text of this file.
NONE = -1
#: Slack of comparisons between sums of megabytes.
_EPS_MB = 1e-6
#: Scores closer than this are equal; then the smaller fraction is taken.
_EPS_SCORE = 1e-12


@helper
def _push(s, t):
    h = s.head[0]
    heap_push(s.heap, 0, h.heap, s.tasks[t].ready_s, t, t)
    h.heap += 1


@kernel
def admit(s, until):
    """Takes in the tasks up to number ``until``, whose first columns have been filled."""
    h = s.head[0]
    dependencies = s.machine[0].dependencies
    for t in range(h.num_tasks, until):
        task = s.tasks[t]
        task.first_edge = NONE
        task.fraction = task.finish_s = -1.0
        task.cpu = task.gpu = NONE
        task.ready_s = task.arrival_s
        task.pending = 0
        for k in range(3):
            p = s.parents[t, k]
            if p < 0 or dependencies == 0:
                continue
            if s.tasks[p].fraction >= 0.0:
                task.ready_s = max(task.ready_s, s.tasks[p].finish_s)
            else:
                task.pending += 1
                s.edges[t, k] = s.tasks[p].first_edge
                s.tasks[p].first_edge = 3 * t + k
        if task.pending == 0:
            _push(s, t)
    h.num_tasks = until


@helper
def _next_task(s, closed):
    """Number of the next task to decide, whose time becomes the present; -1 if there is none, or if a task that has
    not been admitted could come before it (never with ``closed``)."""
    h = s.head[0]
    if h.heap == 0:
        return NONE
    ready_s = s.heap[0].key
    if closed == 0 and ready_s > s.tasks[h.num_tasks - 1].arrival_s:
        return NONE
    t = s.heap[0].job
    heap_pop(s.heap, 0, h.heap)
    h.heap -= 1
    h.now_s = ready_s
    return t


@helper
def _gpu_s(m, task):
    return task.duration_s / (1.0 + m.gpu_speedup * task.intensity)


@helper
def _max_fraction(m, task):
    return 1.0 if task.memory_mb <= m.gpu_memory_mb else m.gpu_memory_mb / task.memory_mb


@helper
def _tidy(s, g, now):
    """Forgets what has left the memory of a GPU by now."""
    gpu = s.gpus[g]
    while gpu.first >= 0 and s.tasks[gpu.first].gpu_end_s <= now:
        gpu.used_mb -= s.tasks[gpu.first].gpu_mb
        gpu.first = s.tasks[gpu.first].next
    if gpu.first < 0:
        gpu.last = NONE
        gpu.used_mb = 0.0


@helper
def _first_cpu(s):
    best = 0
    for c in range(1, len(s.cpus)):
        if s.cpus[c].free_s < s.cpus[best].free_s:
            best = c
    return best


@helper
def _copy_start(s, g, memory_mb, now):
    """When so many megabytes have room on a GPU and its link is free."""
    m, gpu = s.machine[0], s.gpus[g]
    start, used, t = max(now, gpu.link_free_s), gpu.used_mb, gpu.first
    while t >= 0 and used + memory_mb > m.gpu_memory_mb + _EPS_MB:
        used -= s.tasks[t].gpu_mb
        start = max(start, s.tasks[t].gpu_end_s)
        t = s.tasks[t].next
    return start


@helper
def _gpu_end(s, task, g, f, copy_start):
    m, gpu = s.machine[0], s.gpus[g]
    copied = copy_start + f * task.memory_mb / m.link_mb_per_s
    start = max(copied, gpu.free_s)
    return start, start + m.launch_s + f * _gpu_s(m, task)


@helper
def _joined(m, task, f, gpu_end, cpu_free, now):
    """When the CPU's part begins and the task is done, of a task with a part on a GPU."""
    if f >= 1.0:
        return now, gpu_end
    begin = max(now, cpu_free)
    if m.overlap == 0:
        begin = max(begin, gpu_end)
    cpu_end = begin + (1.0 - f) * task.duration_s
    return begin, max(cpu_end, gpu_end) + m.merge_s


@helper
def _alone_s(m, task, f):
    """Seconds of a task on a machine of its own."""
    d = task.duration_s
    if f <= 0.0:
        return d
    gpu = m.launch_s + f * (_gpu_s(m, task) + task.memory_mb / m.link_mb_per_s)
    cpu = (1.0 - f) * d
    merge = m.merge_s if f < 1.0 else 0.0
    return merge + (max(gpu, cpu) if m.overlap else gpu + cpu)


@helper
def _work(m, task, f):
    """Seconds of work of the CPU, the GPU and its link."""
    if f <= 0.0:
        return task.duration_s, 0.0, 0.0
    return (1.0 - f) * task.duration_s, m.launch_s + f * _gpu_s(m, task), f * task.memory_mb / m.link_mb_per_s


@helper
def _energy_and_cost(m, task, f, time_s):
    if m.blended_power:
        watts = m.gpu_busy_w * f + m.cpu_busy_w * (1.0 - f)
        return watts * time_s, (m.gpu_usd_per_s * f + m.cpu_usd_per_s * (1.0 - f)) * time_s
    cpu, gpu, link = _work(m, task, f)
    return m.cpu_busy_w * cpu + m.gpu_busy_w * gpu + m.link_busy_w * link, m.cpu_usd_per_s * cpu + m.gpu_usd_per_s * gpu


@helper
def _score(m, task, f, time_s):
    w = m.energy_weight
    if w == 0.0:
        return time_s / m.score_time_s
    energy, _ = _energy_and_cost(m, task, f, time_s)
    return (1.0 - w) * time_s / m.score_time_s + w * energy / m.score_energy_j


@helper
def _time_on(s, task, g, f, cpu_free, now):
    """Seconds from now until a task is done that puts f > 0 on this GPU."""
    _, end = _gpu_end(s, task, g, f, _copy_start(s, g, f * task.memory_mb, now))
    return _joined(s.machine[0], task, f, end, cpu_free, now)[1] - now


@helper
def _choose_gpu(s, task, f, now):
    """The GPU on which the part would be done first."""
    best, best_end = 0, np.inf
    for g in range(len(s.gpus)):
        _, end = _gpu_end(s, task, g, f, _copy_start(s, g, f * task.memory_mb, now))
        if end < best_end:
            best, best_end = g, end
    return best


@helper
def _best_on(s, task, g, cpu_free, now, best_f, best_score):
    """The better of (``best_f``, ``best_score``) and the best fraction with a part on this GPU."""
    m, gpu = s.machine[0], s.gpus[g]
    d, gs, tau = task.duration_s, _gpu_s(m, task), task.memory_mb / m.link_mb_per_s
    free, used, t = gpu.free_s, gpu.used_mb, gpu.first
    start = max(now, gpu.link_free_s)
    cpu_begin = max(now, cpu_free)
    # The CPU's part alone ends at cpu_begin + d; with overlap both parts end together where E(f) = that - f d.
    meet, slope = (cpu_begin + d, d) if m.overlap else (cpu_begin, 0.0)
    top, low = _max_fraction(m, task), 0.0
    while True:
        high = min(top, (m.gpu_memory_mb - used) / task.memory_mb)
        if high > low:
            for k in range(4):
                f = high
                if k == 1:  # the GPU stops waiting for the data
                    f = (free - start) / tau
                elif k == 2:
                    f = (meet - start - m.launch_s) / (tau + gs + slope)
                elif k == 3:
                    f = (meet - free - m.launch_s) / (gs + slope)
                if low < f <= high:
                    score = _score(m, task, f, _time_on(s, task, g, f, cpu_free, now))
                    if score < best_score - _EPS_SCORE:
                        best_f, best_score = f, score
            low = high
        # More memory means to wait for the next task to leave; no part can be done before that.
        if low >= top or t < 0:
            return best_f, best_score
        used -= s.tasks[t].gpu_mb
        start = max(start, s.tasks[t].gpu_end_s)
        t = s.tasks[t].next
        if (1.0 - m.energy_weight) * (start - now) / m.score_time_s > best_score:
            return best_f, best_score


@helper
def _best_fraction(s, task, now):
    m = s.machine[0]
    if m.queues == 0:
        return _best_alone(m, task)
    cpu_free = s.cpus[_first_cpu(s)].free_s
    best_f = 0.0
    best_score = _score(m, task, 0.0, max(now, cpu_free) + task.duration_s - now)
    for g in range(len(s.gpus)):
        best_f, best_score = _best_on(s, task, g, cpu_free, now, best_f, best_score)
    return best_f


@helper
def _vertex(m, a, b):
    """Where the score of a task that takes a + b f seconds is lowest or highest: with blended power it is quadratic."""
    w, p, q = m.energy_weight, m.cpu_busy_w, m.gpu_busy_w - m.cpu_busy_w
    if w == 0.0 or m.blended_power == 0 or b * q == 0.0:
        return 0.0
    return -((1.0 - w) * b / m.score_time_s * m.score_energy_j / w + p * b + q * a) / (2.0 * q * b)


@helper
def _best_alone(m, task):
    """Without queues: 0, all that fits, or where both parts end together or the score has its lowest point."""
    best_f, best_score = 0.0, _score(m, task, 0.0, task.duration_s)
    top = _max_fraction(m, task)
    d, gpu_s = task.duration_s, _gpu_s(m, task) + task.memory_mb / m.link_mb_per_s
    for k in range(2):
        f = top
        if k == 1 and m.overlap:
            f = (d - m.launch_s) / (d + gpu_s)
        elif k == 1:
            f = _vertex(m, d + m.launch_s + m.merge_s, gpu_s - d)
        if 0.0 < f <= top:
            score = _score(m, task, f, _alone_s(m, task, f))
            if score < best_score - _EPS_SCORE:
                best_f, best_score = f, score
    return best_f


@helper
def _situation(s, t, out):
    """Writes what may be known of task ``t`` into a row of ``COLUMNS``, and returns the best fraction."""
    m, task, now = s.machine[0], s.tasks[t], s.head[0].now_s
    gs = _gpu_s(m, task)
    out[0], out[1], out[2], out[3] = task.size, task.intensity, task.memory_mb, task.duration_s
    out[4], out[5], out[6] = gs, task.memory_mb / m.link_mb_per_s, _max_fraction(m, task)
    out[7] = out[8] = out[9] = 0.0
    out[10] = out[6]
    if m.queues:
        for g in range(len(s.gpus)):
            _tidy(s, g, now)
        first = 0
        for g in range(1, len(s.gpus)):
            if s.gpus[g].free_s < s.gpus[first].free_s:
                first = g
        gpu = s.gpus[first]
        out[7] = max(0.0, s.cpus[_first_cpu(s)].free_s - now)
        out[8], out[9] = max(0.0, gpu.free_s - now), max(0.0, gpu.link_free_s - now)
        out[10] = min(out[6], max(0.0, m.gpu_memory_mb - gpu.used_mb) / task.memory_mb)
    return _best_fraction(s, task, now)


@kernel
def look(s, closed, tasks, values, best):
    """Takes the next tasks to be decided; returns how many there are, at most k.

    Their numbers go to ``tasks`` (k,), what may be known of them (``state.COLUMNS``) to ``values`` (k, 11), the best
    fractions to ``best`` (k,). ``closed``: no more tasks will be admitted.
    """
    for i in range(len(tasks)):
        tasks[i] = _next_task(s, closed)
        if tasks[i] < 0:
            return i
        best[i] = _situation(s, tasks[i], values[i])
    return len(tasks)


@kernel
def trial(s, t, fraction):
    """Seconds from now until task ``t`` would be done with this fraction, and its score."""
    m, task, now = s.machine[0], s.tasks[t], s.head[0].now_s
    f = min(max(fraction, 0.0), _max_fraction(m, task))
    if m.queues == 0:
        time_s = _alone_s(m, task, f)
    else:
        cpu_free = s.cpus[_first_cpu(s)].free_s
        if f <= 0.0:
            time_s = max(now, cpu_free) + task.duration_s - now
        else:
            time_s = _time_on(s, task, _choose_gpu(s, task, f, now), f, cpu_free, now)
    return time_s, _score(m, task, f, time_s)


@helper
def _put_on_gpu(s, t, f, now):
    """Reserves link, memory and GPU for a part; returns when it ends."""
    task = s.tasks[t]
    task.gpu = _choose_gpu(s, task, f, now)
    task.gpu_mb = f * task.memory_mb
    task.copy_start_s = _copy_start(s, task.gpu, task.gpu_mb, now)
    task.gpu_start_s, task.gpu_end_s = _gpu_end(s, task, task.gpu, f, task.copy_start_s)
    gpu = s.gpus[task.gpu]
    gpu.link_free_s = task.copy_start_s + task.gpu_mb / s.machine[0].link_mb_per_s
    gpu.free_s = task.gpu_end_s
    gpu.used_mb += task.gpu_mb
    task.next = NONE
    if gpu.first < 0:
        gpu.first = t
    else:
        s.tasks[gpu.last].next = t
    gpu.last = t
    return task.gpu_end_s


@helper
def _place(s, t, fraction):
    """Carries out a decision: reserves devices for both parts, and makes ready the children that waited for it."""
    m, h, task = s.machine[0], s.head[0], s.tasks[t]
    now = h.now_s if m.queues else task.ready_s
    f = min(max(fraction, 0.0), _max_fraction(m, task))
    task.fraction = f
    if m.queues == 0:
        task.finish_s = now + _alone_s(m, task, f)
    else:
        for g in range(len(s.gpus)):
            _tidy(s, g, now)
        gpu_end = _put_on_gpu(s, t, f, now) if f > 0.0 else now
        task.finish_s = gpu_end
        if f < 1.0:
            cpu = s.cpus[_first_cpu(s)]
            task.cpu = _first_cpu(s)
            if f > 0.0:
                task.cpu_start_s, task.finish_s = _joined(m, task, f, gpu_end, cpu.free_s, now)
            else:
                task.cpu_start_s = max(now, cpu.free_s)
                task.finish_s = task.cpu_start_s + task.duration_s
            task.cpu_end_s = task.cpu_start_s + (1.0 - f) * task.duration_s
            cpu.free_s = task.cpu_end_s
    cpu_work, gpu_work, _ = _work(m, task, f)
    if task.cpu >= 0:
        s.cpus[task.cpu].busy_s += cpu_work
    if task.gpu >= 0:
        s.gpus[task.gpu].busy_s += gpu_work
    task.energy_j, task.cost_usd = _energy_and_cost(m, task, f, task.finish_s - now)
    h.end_s = max(h.end_s, task.finish_s)
    h.decided += 1
    _release(s, t)


@helper
def _release(s, t):
    edge = s.tasks[t].first_edge
    while edge >= 0:
        child = edge // 3
        s.tasks[child].ready_s = max(s.tasks[child].ready_s, s.tasks[t].finish_s)
        s.tasks[child].pending -= 1
        if s.tasks[child].pending == 0:
            _push(s, child)
        edge = s.edges[child, edge % 3]


@kernel
def carry_out(s, tasks, fractions):
    """Places tasks, in this order, with these fractions."""
    for i in range(len(tasks)):
        _place(s, tasks[i], fractions[i])
