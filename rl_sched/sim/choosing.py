"""Which node gives a gang its next GPUs, by the placement rule.

Functions take ``s`` (``record.Views``) and ``e``, the number of the record.
"""

from __future__ import annotations

import numpy as np

from rl_sched.sim.jit import helper, routine
from rl_sched.sim.nodes import ONE, ZERO, freest, fullest_with, lowest_node
from rl_sched.sim.record import SHARED
from rl_sched.sim.rules import PLACEMENTS
from rl_sched.workload import WHOLE_GPU

_POOLED = PLACEMENTS["pooled"]
_CONSOLIDATED = PLACEMENTS["consolidated"]
_WORST_FIT = PLACEMENTS["worst_fit"]
_FRAGMENTATION = PLACEMENTS["fragmentation"]


@routine
def wasted(s, e, node, t, idle, gpu, share):
    """Free capacity of a node (thousandths of a GPU) that a job of this workload cannot use, summed over the jobs.

    F of Weng et al. (USENIX ATC 2023), section 4, times the number of jobs: whole numbers, so that ties are exact.

    Args:
        s: Views.
        e: Record.
        node: Its idle GPUs are taken to be ``idle``, and the share in use of ``gpu`` to be ``share``.
        t: Pool of the node.
        idle: Count.
        gpu: GPU number, -1 = none.
        share: Thousandths.
    """
    n = s.nodes[e, node]
    total = 0.0
    for c in range(s.head[e].num_classes):
        k = s.classes[e, c]
        if (k.types >> np.uint64(t)) & ONE == ZERO:
            continue
        rooms, usable = 0, 0
        for g in range(n.first, n.first + n.size):
            used = s.gpus[e, g].share if s.gpus[e, g].job == SHARED else 0
            if g == gpu:
                used = share
            if used > 0:
                rooms += WHOLE_GPU - used
                if k.milli <= WHOLE_GPU - used:
                    usable += WHOLE_GPU - used
        if idle >= min(k.gang, n.size):
            usable += idle * WHOLE_GPU
        total += k.num_jobs * (rooms + idle * WHOLE_GPU - usable)
    return total


@routine
def _least_waste(s, e, t, count):
    """The node that holds ``count`` idle GPUs and wastes least by giving them; -1 if no node holds them."""
    best, least = -1, np.inf
    for node in range(s.nodes.shape[1]):
        n = s.nodes[e, node]
        if n.type == t and n.free >= count:
            waste = wasted(s, e, node, t, n.free - count, -1, 0) - wasted(s, e, node, t, n.free, -1, 0)
            if waste < least:
                best, least = node, waste
    return best


@helper
def next_node(s, e, t, gang, left):
    """The node that gives the next GPUs to a gang of which ``left`` are still missing."""
    placement = s.head[e].placement
    base = t * (s.head[e].max_node + 1)
    size = s.types[e, t].node
    if placement == _POOLED:
        return lowest_node(s, e, base)  # any node with idle GPUs, lowest first
    if placement == _CONSOLIDATED:
        if left >= size:
            return lowest_node(s, e, base + size)  # a whole free node
        if gang > size:
            return freest(s, e, base, size)  # the rest of a large gang
        return fullest_with(s, e, base, size, gang)
    if placement == _WORST_FIT:
        return freest(s, e, base, size)
    node = _least_waste(s, e, t, left) if placement == _FRAGMENTATION else fullest_with(s, e, base, size, left)
    return node if node >= 0 else freest(s, e, base, size)
