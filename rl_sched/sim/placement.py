"""Which GPUs a gang gets: node sets as bit masks in buckets by (type, free GPUs). Nothing scans all nodes.

Functions take ``s`` (``record.Views``) and ``e``, the number of the record.
"""

from __future__ import annotations

import numpy as np

from rl_sched.sim.jit import helper, routine

# Position of the lowest set bit by multiplication with a de Bruijn sequence (Leiserson, Prokop, Randall, 1998).
_DEBRUIJN = np.uint64(0x03F79D71B4CB0A89)
_POSITION = np.zeros(64, np.int64)
for _i in range(64):
    _POSITION[((int(_DEBRUIJN) << _i) & 0xFFFFFFFFFFFFFFFF) >> 58] = _i

_ONE = np.uint64(1)
_ZERO = np.uint64(0)


@helper
def lowest_bit(x):
    """Position (0..63) of the lowest set bit of a non-zero uint64."""
    low = x & (~x + _ONE)
    return _POSITION[(low * _DEBRUIJN) >> np.uint64(58)]


@helper
def _lowest_node(s, e, row):
    """Lowest node number in a bucket row; -1 if it is empty."""
    for word in range(s.bits.shape[2]):
        x = s.bits[e, row, word]
        if x != _ZERO:
            return word * 64 + lowest_bit(x)
    return -1


@helper
def _flip(s, e, row, node, step):
    s.bits[e, row, node >> 6] ^= _ONE << np.uint64(node & 63)
    s.counts[e, row] += step


@helper
def move_node(s, e, node, free):
    """Records that ``node`` now has ``free`` free GPUs, and puts it into the right bucket."""
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


@routine
def reset_nodes(s, e):
    """All GPUs idle, all buckets rebuilt."""
    for row in range(s.bits.shape[1]):
        s.counts[e, row] = 0
        for word in range(s.bits.shape[2]):
            s.bits[e, row, word] = _ZERO
    for g in range(s.gpus.shape[1]):
        s.gpus[e, g].job = -1
        s.gpus[e, g].end_s = 0.0
    for t in range(s.types.shape[1]):
        s.types[e, t].free = s.types[e, t].total
    for m in range(s.nodes.shape[1]):
        n = s.nodes[e, m]
        n.mask = ~_ZERO if n.size == 64 else (_ONE << np.uint64(n.size)) - _ONE
        n.free = 0
        move_node(s, e, m, n.size)


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
def fits(s, e, t, gang):
    """Could a gang start now on GPU type ``t``?"""
    if s.types[e, t].free < gang:
        return False
    if s.head[e].placement == 0:
        return True
    return _fits_consolidated(s, e, t, gang)


@helper
def _take_from(s, e, node, count, job, end_s, slot):
    n = s.nodes[e, node]
    mask = n.mask
    for _ in range(count):
        bit = lowest_bit(mask)
        mask &= mask - _ONE
        g = s.gpus[e, n.first + bit]
        g.job = job
        g.end_s = end_s
        s.alloc[e, slot] = n.first + bit
        slot += 1
    n.mask = mask
    move_node(s, e, node, n.free - count)
    return slot


@helper
def _next_row(s, e, base, size, gang, left):
    """Bucket row of the node that gives the next GPUs to a gang of which ``left`` are still missing."""
    if s.head[e].placement == 0:
        return base  # any node with free GPUs, lowest first
    if left >= size:
        return base + size  # a whole free node
    if gang <= size:  # the fullest node that still fits
        free = gang
        while s.counts[e, base + free] == 0:
            free += 1
        return base + free
    free = size  # the rest of a large gang: the freest node
    while s.counts[e, base + free] == 0:
        free -= 1
    return base + free


@helper
def take(s, e, t, gang, job, end_s):
    """Gives the job ``gang`` GPUs of type ``t``; it must fit. Their numbers go to the end of ``alloc``."""
    head = s.head[e]
    base = t * (head.max_node + 1)
    size = s.types[e, t].node
    slot = head.alloc_len
    left = gang
    while left > 0:
        node = _lowest_node(s, e, _next_row(s, e, base, size, gang, left))
        count = min(left, s.nodes[e, node].free)
        slot = _take_from(s, e, node, count, job, end_s, slot)
        left -= count
    head.alloc_len = slot
    s.types[e, t].free -= gang


@helper
def release(s, e, job):
    """Gives the GPUs of a running job back, node by node."""
    j = s.jobs[e, job]
    slot = j.alloc
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
            g.job = -1
            g.end_s = 0.0
            n.mask |= _ONE << np.uint64(number - n.first)
            count += 1
            slot += 1
        move_node(s, e, node, n.free + count)
    s.types[e, j.type].free += j.gang
