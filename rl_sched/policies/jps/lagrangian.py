"""A certified bound with communication: prices on workers, every job buys its own best set.

For any prices p >= 0, and for each job, class b of links and number m of workers, and any v > 0,

    sum of JCTs >= sum_i min over (b, m) [ C_i(m, b) + 2 sqrt(w_i v) + sum of m least p_k - v rho_ik in classes >= b ]
                   - sum_k p_k

since w / R >= 2 sqrt(w v) - v R. A job that buys from classes b and better pays for gradients as if b were its slowest:
never too little, and exactly where it is. Where links are shared, a job that fits no node pays for the fastest node's
link as if it were alone there. Each v climbs by the sign of its derivative; p follows a subgradient with
Polyak's step, and the best bound of all steps counts: it holds whatever p and v are.
"""

from __future__ import annotations

import numpy as np

from rl_sched.policies.jps.arrays import Problem
from rl_sched.policies.jps.relaxation import Relaxation
from rl_sched.sim.jit import helper, kernel

#: Steps without a better bound after which the step is halved.
_PATIENCE = 20
#: First step of the logarithm of each v.
_PACE = 0.2
STEPS = 300


def bound(problem: Problem, relaxation: Relaxation, upper_s: float, steps: int = STEPS) -> float:
    """A lower bound of the sum of JCTs.

    Args:
        problem: The problem.
        relaxation: Its relaxation, whose prices come first.
        upper_s: Sum of JCTs of a known placement: it sets the size of the steps.
        steps: Of the subgradient.
    """
    s, k = problem.rate.shape
    links = problem.sync_s.shape[1]
    price = (relaxation.v[:, None] * problem.rate).max(axis=0)
    v = np.tile(relaxation.v[:, None, None], (1, links, k))  # with these prices, the relaxation's own bound
    fits, far_s = k, np.zeros(s)  # workers of the largest node, and time of the gradients between nodes
    if problem.nodes > 0:
        fits = int(np.bincount(problem.above[:, 0]).max())
        far_s = problem.shared_s[:, : problem.nodes].min(axis=1)
    return float(
        _ascend(
            problem.rate, problem.work_s, problem.sync_s, problem.link, price, v, np.full(v.shape, _PACE),
            fits, far_s, upper_s, steps, np.zeros(k), np.zeros(k, np.int64), np.zeros(k), np.zeros(k, np.int64),
        )
    )  # fmt: skip


@helper
def _select(cost, index, size, m):
    """Moves the ``m`` least of ``cost[:size]`` to the front, ``index`` along (Hoare's quickselect)."""
    low, high, target = 0, size - 1, m - 1
    while low < high:
        pivot = cost[(low + high) >> 1]
        a, b = low, high
        while a <= b:
            while cost[a] < pivot:
                a += 1
            while cost[b] > pivot:
                b -= 1
            if a <= b:
                cost[a], cost[b] = cost[b], cost[a]
                index[a], index[b] = index[b], index[a]
                a += 1
                b -= 1
        if target <= b:
            high = b
        elif target >= a:
            low = a
        else:
            return


@kernel
def _ascend(rate, work, sync, link, price, v, pace, fits, far, upper, steps, cost, index, chosen, taken):
    jobs, workers = rate.shape
    links = sync.shape[1]
    best, scale, stale = -np.inf, 1.0, 0
    for _ in range(steps):
        total = 0.0
        for k in range(workers):
            total -= price[k]
            taken[k] = 0
        for i in range(jobs):
            lowest = np.inf
            for k in range(workers):
                chosen[k] = 0.0
            for b in range(links):
                size = 0
                for k in range(workers):
                    size += 1 if link[k] >= b else 0
                for m in range(1, size + 1):
                    slope = v[i, b, m - 1]
                    gradients = sync[i, b] if m <= fits else max(sync[i, b], far[i])
                    fixed = 2.0 * np.sqrt(work[i] * slope) + gradients * (m - 1) / m
                    count = 0
                    for k in range(workers):
                        if link[k] >= b:
                            cost[count] = price[k] - slope * rate[i, k]
                            index[count] = k
                            count += 1
                    _select(cost, index, count, m)
                    own = 0.0
                    for n in range(m):
                        fixed += cost[n]
                        own += rate[i, index[n]]
                    # Concave in v, with a kink at its top where the m best change: steps shrink when they turn back.
                    up = own * own * slope < work[i]
                    if up == (pace[i, b, m - 1] > 0.0):
                        pace[i, b, m - 1] *= 1.2 if abs(pace[i, b, m - 1]) < 0.4 else 1.0
                    else:
                        pace[i, b, m - 1] *= -0.5
                    v[i, b, m - 1] = slope * np.exp(pace[i, b, m - 1])
                    if fixed < lowest:
                        lowest = fixed
                        for k in range(workers):
                            chosen[k] = 0.0
                        for n in range(m):
                            chosen[index[n]] = 1.0
            total += lowest
            for k in range(workers):
                if chosen[k] > 0.0:
                    taken[k] += 1
        if total > best:
            best, stale = total, 0
        else:
            stale += 1
            if stale == _PATIENCE:
                scale, stale = scale * 0.5, 0
        norm = 0.0
        for k in range(workers):
            excess = taken[k] - 1
            if excess < 0 and price[k] <= 0.0:
                excess = 0
            norm += excess * excess
        if norm == 0.0 or upper - total <= 1e-9 * upper:
            break
        step = scale * (upper - total) / norm
        for k in range(workers):
            price[k] = max(0.0, price[k] + step * (taken[k] - 1))
    return best
