"""Nodes and their idle GPUs: bit masks, kept in buckets by (pool, idle GPUs). Nothing scans all nodes.

Functions take ``s`` (``record.Views``) and ``e``, the number of the record.
"""

from __future__ import annotations

import numpy as np

from rl_sched.sim.jit import helper, routine
from rl_sched.sim.record import DOWN, IDLE

# Position of the lowest set bit by multiplication with a de Bruijn sequence (Leiserson, Prokop, Randall, 1998).
_DEBRUIJN = np.uint64(0x03F79D71B4CB0A89)
_POSITION = np.zeros(64, np.int64)
for _i in range(64):
    _POSITION[((int(_DEBRUIJN) << _i) & 0xFFFFFFFFFFFFFFFF) >> 58] = _i

ONE = np.uint64(1)
ZERO = np.uint64(0)


@helper
def lowest_bit(x):
    """Position (0..63) of the lowest set bit of a non-zero uint64."""
    low = x & (~x + ONE)
    return _POSITION[(low * _DEBRUIJN) >> np.uint64(58)]


@helper
def lowest_node(s, e, row):
    """Lowest node number in a bucket row; -1 if it is empty."""
    for word in range(s.bits.shape[2]):
        x = s.bits[e, row, word]
        if x != ZERO:
            return word * 64 + lowest_bit(x)
    return -1


@helper
def _flip(s, e, row, node, step):
    s.bits[e, row, node >> 6] ^= ONE << np.uint64(node & 63)
    s.counts[e, row] += step


@helper
def move_node(s, e, node, free):
    """Records that ``node`` now has ``free`` idle GPUs, and puts it into the right bucket."""
    n = s.nodes[e, node]
    old = n.free
    base = n.type * (s.head[e].max_node + 1)
    if old > 0:
        _flip(s, e, base + old, node, -1)
        if free == 0:
            _flip(s, e, base, node, -1)
    if free > 0:
        _flip(s, e, base + free, node, 1)
        if old == 0:
            _flip(s, e, base, node, 1)
    n.free = free


@helper
def full_mask(size):
    return ~ZERO if size == 64 else (ONE << np.uint64(size)) - ONE


@routine
def reset_nodes(s, e):
    """All GPUs idle, all buckets rebuilt."""
    for row in range(s.bits.shape[1]):
        s.counts[e, row] = 0
        for word in range(s.bits.shape[2]):
            s.bits[e, row, word] = ZERO
    for g in range(s.gpus.shape[1]):
        s.gpus[e, g].job = IDLE
        s.gpus[e, g].end_s = 0.0
        s.gpus[e, g].share = 0
    for t in range(s.types.shape[1]):
        s.types[e, t].free = s.types[e, t].total
        s.types[e, t].room = 0
        s.types[e, t].busy_gpu_s = 0.0
    for m in range(s.nodes.shape[1]):
        n = s.nodes[e, m]
        n.mask = full_mask(n.size)
        n.free = 0
        n.down = 0
        n.outages = 0
        move_node(s, e, m, n.size)


@routine
def close_node(s, e, node):
    """Takes an idle node out of service."""
    n = s.nodes[e, node]
    for g in range(n.first, n.first + n.size):
        s.gpus[e, g].job = DOWN
        s.gpus[e, g].end_s = np.inf
    n.mask = ZERO
    move_node(s, e, node, 0)
    s.types[e, n.type].free -= n.size


@routine
def open_node(s, e, node):
    """Puts a closed node back into service, idle."""
    n = s.nodes[e, node]
    for g in range(n.first, n.first + n.size):
        s.gpus[e, g].job = IDLE
        s.gpus[e, g].end_s = 0.0
    n.mask = full_mask(n.size)
    move_node(s, e, node, n.size)
    s.types[e, n.type].free += n.size


@helper
def freest(s, e, base, size):
    free = size
    while s.counts[e, base + free] == 0:
        free -= 1
    return lowest_node(s, e, base + free)


@helper
def fullest_with(s, e, base, size, count):
    """The node with the fewest idle GPUs that has ``count`` of them; -1 if there is none."""
    for free in range(count, size + 1):
        if s.counts[e, base + free] > 0:
            return lowest_node(s, e, base + free)
    return -1


@helper
def take_idle(s, e, node, count, job, end_s, slot):
    n = s.nodes[e, node]
    mask = n.mask
    for _ in range(count):
        bit = lowest_bit(mask)
        mask &= mask - ONE
        g = s.gpus[e, n.first + bit]
        g.job = job
        g.end_s = end_s
        s.alloc[e, slot] = n.first + bit
        slot += 1
    n.mask = mask
    move_node(s, e, node, n.free - count)
    return slot
