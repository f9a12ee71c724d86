"""Which GPUs a gang gets, whether it fits, and giving them back.

Functions take ``s`` (``record.Views``) and ``e``, the number of the record.
"""

from __future__ import annotations

import numpy as np

from rl_sched.sim.choosing import next_node
from rl_sched.sim.jit import helper, routine
from rl_sched.sim.nodes import ONE, move_node, take_idle
from rl_sched.sim.record import IDLE
from rl_sched.sim.rules import PLACEMENTS
from rl_sched.sim.sharing import release_share, take_share
from rl_sched.workload import WHOLE_GPU

_CONSOLIDATED = PLACEMENTS["consolidated"]


@routine
def _fits_consolidated(s, e, t, gang):
    base = t * (s.head[e].max_node + 1)
    size = s.types[e, t].node
    if gang <= size:
        for free in range(gang, size + 1):
            if s.counts[e, base + free] > 0:
                return True
        return False
    whole, rest = gang // size, gang % size
    empty = s.counts[e, base + size]
    if empty < whole:
        return False
    if rest == 0 or empty > whole:
        return True
    for free in range(rest, size):
        if s.counts[e, base + free] > 0:
            return True
    return False


@helper
def fits(s, e, t, k):
    """Could a job of the class ``k`` (``record.KLASS``), which can run on pool ``t``, start there now?"""
    p = s.types[e, t]
    if p.free < k.gang:
        return k.milli < WHOLE_GPU and p.room >= k.milli
    if s.head[e].placement != _CONSOLIDATED:
        return True
    return _fits_consolidated(s, e, t, k.gang)


@helper
def take(s, e, t, job, end_s):
    """Gives the job its GPUs of pool ``t``, where it must fit; their numbers go into its slots of ``alloc``."""
    j = s.jobs[e, job]
    slot = j.alloc
    milli = s.classes[e, j.klass].milli
    if milli < WHOLE_GPU:
        take_share(s, e, t, milli, slot, end_s)
        return
    left = j.gang
    while left > 0:
        node = next_node(s, e, t, j.gang, left)
        count = min(left, s.nodes[e, node].free)
        slot = take_idle(s, e, node, count, job, end_s, slot)
        left -= count
    s.types[e, t].free -= j.gang
    s.head[e].busy += j.gang


@helper
def release(s, e, job):
    """Gives the GPUs of a running job back, node by node."""
    j = s.jobs[e, job]
    slot = j.alloc
    milli = s.classes[e, j.klass].milli
    if milli < WHOLE_GPU:
        release_share(s, e, j.type, milli, s.alloc[e, slot], job)
        return
    end = j.alloc + j.gang
    while slot < end:
        node = s.gpus[e, s.alloc[e, slot]].node
        n = s.nodes[e, node]
        count = 0
        while slot < end:
            number = s.alloc[e, slot]
            g = s.gpus[e, number]
            if g.node != node:
                break
            g.job = IDLE
            g.end_s = 0.0
            n.mask |= ONE << np.uint64(number - n.first)
            count += 1
            slot += 1
        move_node(s, e, node, n.free + count)
    s.types[e, j.type].free += j.gang
    s.head[e].busy -= j.gang


@routine
def spread(s, e, job):
    """Does a running gang lie on more nodes than it needs?"""
    j = s.jobs[e, job]
    nodes = 0
    last = -1
    for slot in range(j.alloc, j.alloc + j.gang):
        node = s.gpus[e, s.alloc[e, slot]].node
        nodes += node != last
        last = node
    size = s.types[e, j.type].node
    return nodes > (j.gang + size - 1) // size
