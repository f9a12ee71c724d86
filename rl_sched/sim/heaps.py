"""Heaps of waiting jobs inside the kernels: one per class, ordered by (key, entry into the queue).

All heaps lie in one array of entries; the heap of class ``c`` starts at ``base[c]`` and has ``length[c]`` entries.
"""

from __future__ import annotations

import numpy as np

from rl_sched.sim.jit import helper, routine

ENTRY = np.dtype([("key", "f8"), ("seq", "i4"), ("job", "i4")])


@helper
def heap_push(entries, base, length, key, seq, job):
    """Adds an entry to the heap of ``length`` entries at ``base``."""
    pos = length
    while pos > 0:
        parent = (pos - 1) >> 1
        p = entries[base + parent]
        if p.key < key or (p.key == key and p.seq < seq):
            break
        slot = entries[base + pos]
        slot.key, slot.seq, slot.job = p.key, p.seq, p.job
        pos = parent
    slot = entries[base + pos]
    slot.key, slot.seq, slot.job = key, seq, job


@helper
def heap_pop(entries, base, length):
    """Removes the first entry of the heap of ``length`` entries at ``base``."""
    n = length - 1
    last = entries[base + n]
    key, seq, job = last.key, last.seq, last.job
    pos = 0
    child = 1
    while child < n:
        a = entries[base + child]
        if child + 1 < n:
            b = entries[base + child + 1]
            if b.key < a.key or (b.key == a.key and b.seq < a.seq):
                child += 1
                a = b
        if key < a.key or (key == a.key and seq < a.seq):
            break
        slot = entries[base + pos]
        slot.key, slot.seq, slot.job = a.key, a.seq, a.job
        pos = child
        child = 2 * pos + 1
    slot = entries[base + pos]
    slot.key, slot.seq, slot.job = key, seq, job


@routine
def lay_out(s, e, base, length):
    """Empty heaps with room for all jobs of each class."""
    num_classes = s.head[e].num_classes
    for c in range(num_classes):
        length[c] = 0
    for job in range(s.head[e].num_jobs):
        length[s.jobs[e, job].klass] += 1
    at = 0
    for c in range(num_classes):
        base[c] = at
        at += length[c]
        length[c] = 0
