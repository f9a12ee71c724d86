"""Jobs that share a GPU. They look through the GPUs of their pool; nobody else pays for it.

Functions take ``s`` (``record.Views``) and ``e``, the number of the record.
"""

from __future__ import annotations

import numpy as np

from rl_sched.sim.choosing import next_node, wasted
from rl_sched.sim.events import COMPLETION
from rl_sched.sim.jit import routine
from rl_sched.sim.nodes import ONE, lowest_bit, move_node, take_idle
from rl_sched.sim.record import IDLE, RUNNING, SHARED
from rl_sched.sim.rules import PLACEMENTS
from rl_sched.workload import WHOLE_GPU

_WORST_FIT = PLACEMENTS["worst_fit"]
_FRAGMENTATION = PLACEMENTS["fragmentation"]


@routine
def _shared_gpu(s, e, t, milli):
    """The shared GPU of pool ``t`` on which the placement puts a share; -1 if an idle GPU is to be opened instead."""
    placement = s.head[e].placement
    if placement == _WORST_FIT and s.types[e, t].free > 0:
        return -1
    best, least = -1, np.inf
    for g in range(s.gpus.shape[1]):
        r = s.gpus[e, g]
        if r.type == t and r.job == SHARED and WHOLE_GPU - r.share >= milli:
            cost = float(WHOLE_GPU - r.share)
            if placement == _WORST_FIT:
                cost = -cost
            elif placement == _FRAGMENTATION:
                idle = s.nodes[e, r.node].free
                cost = wasted(s, e, r.node, t, idle, g, r.share + milli) - wasted(s, e, r.node, t, idle, -1, 0)
            if cost < least:
                best, least = g, cost
    if placement == _FRAGMENTATION and best >= 0:
        for node in range(s.nodes.shape[1]):  # or does an idle GPU waste even less?
            n = s.nodes[e, node]
            if n.type == t and n.free > 0:
                first = n.first + lowest_bit(n.mask)
                cost = wasted(s, e, node, t, n.free - 1, first, milli) - wasted(s, e, node, t, n.free, -1, 0)
                if cost < least:
                    return -1
    return best


@routine
def _idle_gpu_to_share(s, e, t, milli):
    """The node whose first idle GPU is opened for sharing."""
    if s.head[e].placement != _FRAGMENTATION:
        return next_node(s, e, t, 1, 1)
    best, least = -1, np.inf
    for node in range(s.nodes.shape[1]):
        n = s.nodes[e, node]
        if n.type == t and n.free > 0:
            first = n.first + lowest_bit(n.mask)
            cost = wasted(s, e, node, t, n.free - 1, first, milli) - wasted(s, e, node, t, n.free, -1, 0)
            if cost < least:
                best, least = node, cost
    return best


@routine
def _refresh_room(s, e, t):
    room = 0
    for g in range(s.gpus.shape[1]):
        if s.gpus[e, g].type == t and s.gpus[e, g].job == SHARED:
            room = max(room, WHOLE_GPU - s.gpus[e, g].share)
    s.types[e, t].room = room


@routine
def take_share(s, e, t, milli, slot, end_s):
    number = _shared_gpu(s, e, t, milli)
    if number < 0:
        take_idle(s, e, _idle_gpu_to_share(s, e, t, milli), 1, SHARED, end_s, slot)
        s.types[e, t].free -= 1
        number = s.alloc[e, slot]
    s.alloc[e, slot] = number
    g = s.gpus[e, number]
    g.share += milli
    g.end_s = max(g.end_s, end_s)
    s.head[e].busy += milli / WHOLE_GPU
    _refresh_room(s, e, t)


@routine
def _expected_end_s(s, e, number, leaver):
    """When policies expect the last sharer of a GPU to end, ``leaver`` left out."""
    end_s = 0.0
    for i in range(s.head[e].heap_len):
        event = s.heap[e, i]
        if event.kind == COMPLETION and event.job != leaver:
            j = s.jobs[e, event.job]
            if j.state == RUNNING and s.alloc[e, j.alloc] == number:
                end_s = max(end_s, j.finish_s if s.head[e].plain == 1 else s.life[e, event.job].end_s)
    return end_s


@routine
def release_share(s, e, t, milli, number, job):
    g = s.gpus[e, number]
    g.share -= milli
    g.end_s = _expected_end_s(s, e, number, job)
    s.head[e].busy -= milli / WHOLE_GPU
    if g.share == 0:
        g.job = IDLE
        g.end_s = 0.0
        n = s.nodes[e, g.node]
        n.mask |= ONE << np.uint64(number - n.first)
        move_node(s, e, g.node, n.free + 1)
        s.types[e, t].free += 1
    _refresh_room(s, e, t)
