"""Local search where a job's time is its work over the sum of its rates and the score is the mean time.

That is beta = 1 without communication. The moves are those of ``local_search``, which takes one and a half times as
long here: it carries links, counts and sums that nothing needs. The time is convex in the rate, so that where its
tangents promise too little a change is not computed; and without links no worker is better off idle.
"""

from __future__ import annotations

import numpy as np

from rl_sched.sim.jit import helper, routine

#: A change must lower the score by this part of it: rounding must not go in circles.
LEAST_GAIN = 1e-10
MAX_PASSES = 200
#: A rate below this, of a mean of 1, is what subtraction leaves of zero.
NOTHING = 1e-9


@helper
def _recount(rate, work, owner, sum_rate, time_s, slope):
    """Rates, times and slopes anew from the owners; returns the sum of times."""
    jobs, workers = rate.shape
    for i in range(jobs):
        sum_rate[i] = 0.0
    for k in range(workers):
        sum_rate[owner[k]] += rate[owner[k], k]
    total = 0.0
    for i in range(jobs):
        time_s[i] = work[i] / sum_rate[i] if sum_rate[i] > NOTHING else np.inf
        slope[i] = time_s[i] / sum_rate[i]
        total += time_s[i]
    return total


@helper
def _take(work, job, by, sum_rate, time_s, slope):
    """Changes the rate of a job; returns by how much its time grows."""
    before = time_s[job]
    sum_rate[job] += by
    time_s[job] = work[job] / sum_rate[job]
    slope[job] = time_s[job] / sum_rate[job]
    return time_s[job] - before


@helper
def _change(rate, work, twin, owner, sum_rate, time_s, slope, changed, looked, k, total, tick):
    """Makes the best move or swap of worker ``k``, if one is worth it; returns the sum of times."""
    jobs, workers = rate.shape
    i, seen = owner[k], looked[k]
    looked[k] = tick
    fresh = changed[i] > seen
    mine, slope_i = rate[i, k], slope[i]
    left = sum_rate[i] - mine  # the rate of job i without worker k
    rest = total - time_s[i]
    limit = best = total * (1.0 - LEAST_GAIN)
    best_job, best_worker = -1, -1
    if left > NOTHING:
        without_s = rest + work[i] / left
        for j in range(jobs):
            if j == i or not (fresh or changed[j] > seen):
                continue
            if slope[j] * rate[j, k] - slope_i * mine <= total - best:
                continue
            cost = without_s - time_s[j] + work[j] / (sum_rate[j] + rate[j, k])
            if cost < best:
                best, best_job, best_worker = cost, j, -1
    for other in range(workers):
        j = owner[other]
        if j == i or twin[other] == twin[k] or not (fresh or changed[j] > seen):
            continue
        gain_j = rate[j, k] - rate[j, other]
        if slope_i * (rate[i, other] - mine) + slope[j] * gain_j <= total - best:
            continue
        one, two = left + rate[i, other], sum_rate[j] + gain_j
        if one <= NOTHING or two <= NOTHING:
            continue
        cost = rest - time_s[j] + work[i] / one + work[j] / two
        if cost < best:
            best, best_job, best_worker = cost, j, other
    if not best < limit:
        return total
    owner[k] = best_job
    gain_i, gain_j = -mine, rate[best_job, k]
    if best_worker >= 0:
        owner[best_worker] = i
        gain_i += rate[i, best_worker]
        gain_j -= rate[best_job, best_worker]
    total += _take(work, i, gain_i, sum_rate, time_s, slope)
    total += _take(work, best_job, gain_j, sum_rate, time_s, slope)
    changed[i] = changed[best_job] = tick + 1
    return total


@routine
def improve_linear(rate, work, twin, reserved, owner, sum_rate, time_s, slope, changed, looked):
    """Changes ``owner`` until nothing helps, and what depends on it; returns the mean time.

    Every worker has an owner. The scratch arrays are those of ``scoring.Search``.
    """
    jobs, workers = rate.shape
    total = _recount(rate, work, owner, sum_rate, time_s, slope)
    if not total < np.inf:
        for i in range(jobs):
            owner[reserved[i]] = i
        total = _recount(rate, work, owner, sum_rate, time_s, slope)
    for i in range(jobs):
        changed[i] = 1
    for k in range(workers):
        looked[k] = 0
    tick = 1
    for _ in range(MAX_PASSES):
        before = total
        for k in range(workers):
            now = total
            total = _change(rate, work, twin, owner, sum_rate, time_s, slope, changed, looked, k, total, tick)
            if total < now:
                tick += 1
        total = _recount(rate, work, owner, sum_rate, time_s, slope)  # sums that were only added to drift
        if not total < before * (1.0 - LEAST_GAIN):
            break
        tick += 1
    return total / jobs
