"""The random draws of docs/simulator.md once more, in plain Python: whole numbers modulo 2**64."""

from __future__ import annotations

import math

_WORD = 2**64
STRAGGLERS, FAILURES, REPAIRS = 1, 2, 3  #: streams


def _mix(x: int) -> int:
    """One step of splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014)."""
    x = (x + 0x9E3779B97F4A7C15) % _WORD
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) % _WORD
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) % _WORD
    return x ^ (x >> 31)


def uniform(seed: int, stream: int, what: int, count: int) -> float:
    """A number in (0, 1): the ``count``-th one (from 0) for job or node ``what``."""
    bits = _mix(_mix(_mix(_mix(seed) ^ stream) ^ what) ^ count) >> 11
    return (bits + 0.5) / 2**53


def exponential(seed: int, stream: int, node: int, count: int, mean_s: float) -> float:
    return -mean_s * math.log(uniform(seed, stream, node, count))
