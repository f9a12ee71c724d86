"""The exact optimum with communication, by dynamic programming over sets of workers.

    best_1(U) = min over A in U of JCT_1(A),     best_i(U) = min over A in U of best_{i-1}(U - A) + JCT_i(A)

3^K steps a job: K = 15 takes a fraction of a second, one worker more three times as long. It shares no formula with
the other solvers but that of a JCT, and so it checks them, too.
"""

from __future__ import annotations

import numpy as np

from rl_sched.errors import PlacementError
from rl_sched.policies.jps.arrays import Problem
from rl_sched.sim.jit import kernel

#: Most workers; memory is (S + 2) 2^K numbers.
MAX_WORKERS = 16


def best_subsets(problem: Problem) -> tuple[np.ndarray, float]:
    """The optimum: (K,) owners, -1 = idle, and the sum of JCTs.

    Raises:
        PlacementError: There are more than ``MAX_WORKERS`` workers.
    """
    s, k = problem.rate.shape
    if k > MAX_WORKERS:
        raise PlacementError(f"Dynamic programming over sets takes at most {MAX_WORKERS} workers; there are {k}.")
    alone = np.zeros((s, 1 << k))
    for job in range(s):
        _times(problem.rate[job], problem.work_s[job], problem.sync_s[job], problem.link, alone[job])
    best = np.zeros((s, 1 << k))
    choice = np.zeros((s, 1 << k), np.int64)
    _solve(alone, best, choice)
    owner = np.full(k, -1)
    left = (1 << k) - 1
    total_s = float(best[s - 1, left])
    for job in reversed(range(s)):
        chosen = int(choice[job, left])
        owner[[w for w in range(k) if chosen >> w & 1]] = job
        left &= ~chosen
    return owner, total_s


@kernel
def _times(rate, work, sync, link, out):
    """JCT of one job on every set of workers, inf on none."""
    workers = rate.shape[0]
    out[0] = np.inf
    for chosen in range(1, out.shape[0]):
        total, size, slowest = 0.0, 0, sync.shape[0] - 1
        for k in range(workers):
            if chosen >> k & 1:
                total += rate[k]
                size += 1
                slowest = min(slowest, link[k])
        out[chosen] = work / total + sync[slowest] * (size - 1) / size if total > 0.0 else np.inf


@kernel
def _solve(alone, best, choice):
    jobs, sets = alone.shape
    for job in range(jobs):
        for given in range(sets):
            if job == jobs - 1 and given < sets - 1 and jobs > 1:
                continue  # the last job is asked for all workers only
            lowest, chosen = np.inf, 0
            part = given
            while part > 0:
                cost = alone[job, part]
                if job > 0:
                    cost += best[job - 1, given & ~part]
                if cost < lowest:
                    lowest, chosen = cost, part
                part = (part - 1) & given
            best[job, given] = lowest
            choice[job, given] = chosen
