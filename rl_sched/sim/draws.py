"""Random numbers of the simulator itself: pure functions of a seed and of what they are drawn for.

They do not depend on the order of events, so two policies that face the same seed face the same stragglers, and the
same failures as long as the repairs agree (they do: neither depends on what runs).
"""

from __future__ import annotations

import numpy as np

from rl_sched.sim.jit import helper

_STRAGGLER, _FAILURE, _REPAIR = 1, 2, 3


@helper
def _mix(x):
    """One step of splitmix64 (Steele, Lea, Flood, 2014): a well mixed 64-bit hash of a counter."""
    x += np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@helper
def _uniform(seed, stream, what, count):
    """A number in (0, 1) for the ``count``-th draw for ``what``."""
    key = _mix(_mix(_mix(np.uint64(seed)) ^ np.uint64(stream)) ^ np.uint64(what))
    bits = _mix(key ^ np.uint64(count)) >> np.uint64(11)
    return (np.float64(bits) + 0.5) * (1.0 / 9007199254740992.0)


@helper
def straggles(seed, job, segment, share):
    """Is this segment of the job one of the slow ones?"""
    return share > 0.0 and _uniform(seed, _STRAGGLER, job, segment) < share


@helper
def time_to_failure_s(seed, node, count, mean_s):
    """Exponential time until the node fails for the ``count``-th time."""
    return -mean_s * np.log(_uniform(seed, _FAILURE, node, count))


@helper
def time_to_repair_s(seed, node, count, mean_s):
    """Exponential time until it is repaired."""
    return -mean_s * np.log(_uniform(seed, _REPAIR, node, count))
