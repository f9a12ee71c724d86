"""Feasible-solution categories: how many workers each job gets, (S,) counts that sum up to K, the best ones first.

The promise of a category is what it would cost if every job had workers of its share's usual quality,

    f_i(c) = (w_i / R*_i) (c*_i / c) + gradients of c workers,       promise = sum_i f_i(c_i)

with R*, c* of the relaxation. Every f_i is convex (where gradients would make it concave, its chord is taken), so the
promise is M-convex on the categories, and from each of them one worker can change jobs so that it gets no worse and
comes nearer to the best one (Murota, 2003). A best-first search over such exchanges from the best category therefore
meets them in the order of their promise, without listing the rest.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from rl_sched.policies.jps.arrays import Problem
from rl_sched.policies.jps.relaxation import Relaxation
from rl_sched.sim.jit import helper, kernel

#: Categories of which the exact ranks are known, at most; beyond, ranks are quantiles of as many random ones.
MAX_LISTED = 4096


def count_categories(problem: Problem) -> int:
    """How many there are: compositions of K into S positive parts, and with communication an idle part >= 0."""
    s, k = problem.rate.shape
    return math.comb(k, s) if problem.idle else math.comb(k - 1, s - 1)


def costs(problem: Problem, relaxation: Relaxation) -> np.ndarray:
    """(S + 1, K + 1) float64: f_i of c workers; row S is the idle part and costs nothing."""
    s, k = problem.rate.shape
    f = np.empty((s + 1, k + 1))
    # Links: of the class that the middle one of the workers has.
    middle = int(np.sort(problem.link)[k // 2]) if problem.idle else 0
    _fill_costs(problem.work_s, problem.sync_s, middle, relaxation.workers, relaxation.rate, f)
    return f


def best_categories(problem: Problem, relaxation: Relaxation, count: int) -> np.ndarray:
    """(n, S + 1) int64: the ``count`` categories of the best promise, or all, in order; the last column is idle."""
    s, _ = problem.rate.shape
    total = count_categories(problem)
    n = min(count, total)
    room = min(n * s * (s + 1), total) + 1
    out = np.empty((n, s + 1), np.int64)
    table = 1 << (2 * room).bit_length()
    found = _best_first(
        costs(problem, relaxation), problem.idle, out, np.empty(room), np.empty((room, 3), np.int64),
        np.empty(n, np.uint64), np.zeros(table, np.uint64),
    )  # fmt: skip
    return out[:found]


def random_categories(problem: Problem, count: int, rng: np.random.Generator) -> np.ndarray:
    """(n, S + 1) int64: ``count`` different categories, or all, drawn uniformly."""
    s, k = problem.rate.shape
    parts, places = (s + 1, k) if problem.idle else (s, k - 1)
    total = count_categories(problem)
    if total <= MAX_LISTED:
        listed = _listed(parts, places)
        chosen = listed if count >= total else listed[rng.choice(total, count, replace=False)]
    else:
        cuts = np.sort(np.argsort(rng.random((count, places)), axis=1)[:, : parts - 1], axis=1) + 1
        ends = np.concatenate([np.zeros((count, 1), np.int64), cuts, np.full((count, 1), places + 1)], axis=1)
        chosen = np.unique(np.diff(ends, axis=1), axis=0)
        chosen = rng.permutation(chosen)
    if problem.idle:
        return chosen - np.append(np.zeros(s, np.int64), 1)
    return np.concatenate([chosen, np.zeros((len(chosen), 1), np.int64)], axis=1)


def _listed(parts: int, places: int) -> np.ndarray:
    """All compositions of ``places + 1`` into ``parts``."""
    chosen = list(itertools.combinations(range(1, places + 1), parts - 1))
    cuts = np.array(chosen, np.int64).reshape(len(chosen), parts - 1)
    ends = np.concatenate([np.zeros((len(cuts), 1), np.int64), cuts, np.full((len(cuts), 1), places + 1)], axis=1)
    return np.diff(ends, axis=1)


@kernel
def _fill_costs(work, sync, middle, share, rate, f):
    jobs, most = f.shape[0] - 1, f.shape[1] - 1
    for i in range(jobs):
        alone, gradients = work[i] * share[i] / max(rate[i], 1e-12), sync[i, middle]
        last = alone / most + gradients * (1.0 - 1.0 / most)
        f[i, 0] = np.inf
        for c in range(1, most + 1):
            if alone < gradients:
                f[i, c] = alone + (last - alone) * (c - 1) / max(most - 1, 1)
            else:
                f[i, c] = alone / c + gradients * (1.0 - 1.0 / c)
    for c in range(most + 1):
        f[jobs, c] = 0.0


@helper
def _tag(part):
    """A 64-bit number of a part; a category's hash is the sum of tag times count (wrapping)."""
    x = np.uint64(part + 1) * np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (x ^ (x >> np.uint64(31))) | np.uint64(1)


@helper
def _is_new(seen, tag):
    """Enters a hash into the open table ``seen`` (0 = free) unless it is there."""
    mask = np.uint64(seen.shape[0] - 1)
    at = tag & mask
    while seen[np.int64(at)] != np.uint64(0):
        if seen[np.int64(at)] == tag:
            return False
        at = (at + np.uint64(1)) & mask
    seen[np.int64(at)] = tag
    return True


@helper
def _push(key, entry, length, cost, parent, minus, plus):
    pos = length
    while pos > 0:
        up = (pos - 1) >> 1
        if key[up] <= cost:
            break
        key[pos] = key[up]
        for column in range(3):
            entry[pos, column] = entry[up, column]
        pos = up
    key[pos] = cost
    entry[pos, 0], entry[pos, 1], entry[pos, 2] = parent, minus, plus


@helper
def _pop(key, entry, length):
    """Moves the first entry to row ``length - 1``."""
    last = length - 1
    cost, a, b, c = key[last], entry[last, 0], entry[last, 1], entry[last, 2]
    key[last], entry[last, 0], entry[last, 1], entry[last, 2] = key[0], entry[0, 0], entry[0, 1], entry[0, 2]
    pos, child = 0, 1
    while child < last:
        if child + 1 < last and key[child + 1] < key[child]:
            child += 1
        if cost <= key[child]:
            break
        key[pos] = key[child]
        for column in range(3):
            entry[pos, column] = entry[child, column]
        pos = child
        child = 2 * pos + 1
    if last > 0:
        key[pos] = cost
        entry[pos, 0], entry[pos, 1], entry[pos, 2] = a, b, c


@kernel
def _best_first(f, idle, out, key, entry, tags, seen):
    """Fills ``out`` with categories in order of cost; returns how many."""
    parts, workers = f.shape[0] - (0 if idle else 1), f.shape[1] - 1
    jobs = f.shape[0] - 1
    for i in range(jobs):
        out[0, i] = 1
    out[0, jobs] = 0
    for _ in range(workers - jobs):
        best, who = np.inf, 0
        for i in range(parts):
            gain = f[i, out[0, i] + 1] - f[i, out[0, i]]
            if gain < best:
                best, who = gain, i
        out[0, who] += 1
    cost, tag = 0.0, np.uint64(0)
    for i in range(parts):
        cost += f[i, out[0, i]]
        tag += _tag(i) * np.uint64(out[0, i])
    tags[0] = tag
    _is_new(seen, tag)
    count, length = 1, 0
    while True:
        row = count - 1
        if count == out.shape[0]:
            return count
        base = 0.0
        for i in range(parts):
            base += f[i, out[row, i]]
        for minus in range(parts):
            if out[row, minus] <= (1 if minus < jobs else 0):
                continue
            for plus in range(parts):
                if plus == minus or length >= key.shape[0]:
                    continue
                if not _is_new(seen, tags[row] - _tag(minus) + _tag(plus)):
                    continue
                a, b = out[row, minus], out[row, plus]
                changed = base - f[minus, a] + f[minus, a - 1] - f[plus, b] + f[plus, b + 1]
                _push(key, entry, length, changed, row, minus, plus)
                length += 1
        if length == 0:
            return count
        _pop(key, entry, length)
        length -= 1
        parent, minus, plus = entry[length, 0], entry[length, 1], entry[length, 2]
        for i in range(f.shape[0]):
            out[count, i] = out[parent, i]
        out[count, minus] -= 1
        out[count, plus] += 1
        tags[count] = tags[parent] - _tag(minus) + _tag(plus)
        count += 1
