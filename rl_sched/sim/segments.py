"""Segments: a job's stretches on its GPUs, from a start to its end, a preemption or a failure.

In a plain world a job has one segment, as long as its run time. Elsewhere ``record.LIFE`` keeps what is left of the
job: work in seconds on its fastest pool, and restart cost still to be paid. docs/simulator.md gives the formulas.
"""

from __future__ import annotations

import numpy as np

from rl_sched.sim.draws import straggles
from rl_sched.sim.eventlog import FINISH, KILL, PREEMPT, START, note
from rl_sched.sim.events import COMPLETION, compact, push
from rl_sched.sim.jit import helper, routine
from rl_sched.sim.placement import release, spread, take
from rl_sched.sim.queue import come_back, leave, mark_changed
from rl_sched.sim.record import DONE


@helper
def fastest_s(s, e, job):
    """Run time of the whole job on its fastest pool."""
    best = np.inf
    for t in range(s.types.shape[1]):
        best = min(best, s.dur[e, job, t])
    return best


@helper
def _run_s(s, e, job, t):
    """Time that the work left takes on pool ``t``; the run time itself, bit for bit, while all of it is left."""
    fast = fastest_s(s, e, job)
    left = s.life[e, job].left_s
    return s.dur[e, job, t] if left == fast else left * (s.dur[e, job, t] / fast)


@helper
def visible_s(s, e, job, t):
    """What a policy takes for the time that a waiting job would run on pool ``t``, restart cost included."""
    if s.head[e].plain == 1:
        return s.dur[e, job, t]
    life = s.life[e, job]
    return life.overhead_s + _run_s(s, e, job, t) * life.visible


@routine
def _begin(s, e, job, t):
    """Opens a segment of a job that has just got its GPUs; returns its end."""
    head = s.head[e]
    life = s.life[e, job]
    j = s.jobs[e, job]
    run = _run_s(s, e, job, t)
    seen = run * life.visible
    if head.locality > 1.0 and spread(s, e, job):
        run *= head.locality
        seen *= head.locality
    if straggles(head.straggler_seed, job, life.segments, head.straggler_share):
        run *= head.straggler_slowdown
    life.speed = life.left_s / run if run > 0.0 else 1.0
    life.segments += 1
    life.waited_s += head.now - life.since_s
    life.segment_s = head.now
    life.end_s = head.now + (life.overhead_s + seen)
    for slot in range(j.alloc, j.alloc + j.gang):
        g = s.gpus[e, s.alloc[e, slot]]
        g.end_s = max(g.end_s, life.end_s)
    return head.now + (life.overhead_s + run + head.tail_s)


@helper
def start(s, e, job, t):
    """Starts a waiting job of the window on pool ``t``, where it must fit, at the present time."""
    head = s.head[e]
    j = s.jobs[e, job]
    leave(s, e, job)
    j.type = t
    if head.plain == 1:
        j.start_s = head.now
        j.finish_s = head.now + s.dur[e, job, t]
        take(s, e, t, job, j.finish_s)
    else:
        if s.life[e, job].segments == 0:
            j.start_s = head.now
        take(s, e, t, job, 0.0)
        j.finish_s = _begin(s, e, job, t)
        if head.heap_len + s.nodes.shape[1] + 1 >= s.heap.shape[1]:
            compact(s, e)
    push(s, e, j.finish_s, COMPLETION, job)
    head.num_running += 1
    note(s, e, START, job, j.gang)


@helper
def _give_back(s, e, job, since_s):
    """The GPUs of a running job, held since ``since_s``, become idle."""
    head = s.head[e]
    j = s.jobs[e, job]
    demand = j.gang * (s.classes[e, j.klass].milli * 0.001)
    s.types[e, j.type].busy_gpu_s += (head.now - since_s) * demand
    release(s, e, job)
    head.num_running -= 1
    head.running_work -= j.work


@helper
def finish(s, e, job):
    """A running job is done."""
    head = s.head[e]
    j = s.jobs[e, job]
    if head.plain == 1:
        _give_back(s, e, job, j.start_s)
    else:
        life = s.life[e, job]
        _give_back(s, e, job, life.segment_s)
        life.attained_s += head.now - life.segment_s
        mark_changed(s, e, job)
    j.state = DONE
    head.num_done += 1
    head.done_work += j.work
    head.done_priority += j.priority
    note(s, e, FINISH, job, 0)


@routine
def preempt(s, e, job):
    """A running job gives its GPUs back, keeps its progress and goes to the end of the queue."""
    life = s.life[e, job]
    note(s, e, PREEMPT, job, 0)
    _give_back(s, e, job, life.segment_s)
    elapsed = s.head[e].now - life.segment_s
    paid = min(elapsed, life.overhead_s)
    life.attained_s += elapsed
    life.overhead_s = life.overhead_s - paid + s.classes[e, s.jobs[e, job].klass].restart_s
    life.left_s = max(life.left_s - (elapsed - paid) * life.speed, 0.0)
    life.preemptions += 1
    s.head[e].num_stale += 1
    come_back(s, e, job)


@routine
def kill(s, e, job):
    """A running job loses its GPUs and what it has done since its last checkpoint, and goes to the end of the queue."""
    head = s.head[e]
    life = s.life[e, job]
    note(s, e, KILL, job, 0)
    _give_back(s, e, job, life.segment_s)
    elapsed = head.now - life.segment_s
    worked = max(elapsed - life.overhead_s, 0.0)
    saved = np.floor(worked / head.checkpoint_s) * head.checkpoint_s if worked >= head.checkpoint_s else 0.0
    life.attained_s += elapsed
    life.overhead_s = s.classes[e, s.jobs[e, job].klass].restart_s
    life.left_s = max(life.left_s - saved * life.speed, 0.0)
    life.kills += 1
    head.num_stale += 1
    come_back(s, e, job)
