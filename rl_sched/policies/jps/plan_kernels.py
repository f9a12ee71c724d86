"""Plans of gangs on pools: a list schedule of an order, and the search among orders.

Jobs take the GPUs in turn: each the pool where it would end first, from the time when enough of its GPUs are free. An
order is as good as its plan's score: the mean JCT, weighed against fairness as in the static problem.
"""

from __future__ import annotations

import numpy as np

from rl_sched.sim.jit import helper, kernel, routine


@routine
def _plan(order, gang, run_s, home, stay_s, age_s, equal_s, free_s, gpus, beta, at_s, pool, start_s):
    """Fills ``pool`` (-1 = none) and ``start_s`` of each job; returns the score. ``free_s`` is copied to ``at_s``."""
    jobs, pools = run_s.shape
    for p in range(pools):
        for g in range(gpus[p]):
            at_s[p, g] = free_s[p, g]
    total, ratio, square = 0.0, 0.0, 0.0
    for n in range(jobs):
        i = order[n]
        best, chosen = np.inf, -1
        for p in range(pools):
            if gang[i] <= gpus[p] and run_s[i, p] < np.inf:
                begin = at_s[p, gang[i] - 1]
                length = stay_s[i] if p == home[i] and begin <= 0.0 else run_s[i, p]
                if begin + length < best:
                    best, chosen = begin + length, p
        pool[i] = chosen
        if chosen < 0:
            start_s[i] = np.inf
            continue
        start_s[i] = at_s[chosen, gang[i] - 1]
        # Its GPUs, now free at ``best``, go back to their place in the order of free times.
        last = gpus[chosen]
        put = gang[i]
        while put < last and at_s[chosen, put] < best:
            at_s[chosen, put - gang[i]] = at_s[chosen, put]
            put += 1
        for g in range(put - gang[i], put):
            at_s[chosen, g] = best
        jct = age_s[i] + best
        total += jct
        relative = jct / equal_s[i]
        ratio += relative
        square += relative * relative
    if beta >= 1.0 or square <= 0.0:
        return total
    return total * (beta + (1.0 - beta) * (1.0 - ratio * ratio / (jobs * square)))


@helper
def _sort(order, key, jobs):
    """Insertion sort by key: stable, and the keys are nearly sorted."""
    for n in range(1, jobs):
        i = order[n]
        m = n
        while m > 0 and key[order[m - 1]] > key[i]:
            order[m] = order[m - 1]
            m -= 1
        order[m] = i


@kernel
def best_plan(
    factor, moves, key, gang, run_s, home, stay_s, age_s, equal_s, free_s, gpus, beta, at_s, key_now, order, best, pool,
    start_s,
):  # fmt: skip
    """The plan of the best order found: ``pool`` and ``start_s`` are filled, ``best`` is its order; returns its score.

    Args:
        factor: (n, jobs) what the keys are multiplied by in each sample; the first row should be 1.
        moves: (m, 2) in [0, 1): place of a job in the best order, and where it is tried instead.
        key: (jobs,) promise, less is better.
        gang: (jobs,) GPUs.
        run_s: (jobs, P) run time on each pool, inf = impossible.
        home: (jobs,) pool where a job runs, -1 = it waits.
        stay_s: (jobs,) run time if it goes on where it is.
        age_s: (jobs,) time since submission.
        equal_s: (jobs,) what JCTs are compared with for fairness.
        free_s: (P, G) times until the GPUs of each pool are free, ascending.
        gpus: (P,) how many there are.
        beta: Weight of the mean JCT against fairness.
        at_s, key_now, order: Scratch.
        best: (jobs,) out.
        pool: (jobs,) out.
        start_s: (jobs,) out.
    """
    jobs = key.shape[0]
    lowest = np.inf
    for n in range(factor.shape[0]):
        for i in range(jobs):
            order[i] = i
            key_now[i] = key[i] * factor[n, i]
        _sort(order, key_now, jobs)
        score = _plan(order, gang, run_s, home, stay_s, age_s, equal_s, free_s, gpus, beta, at_s, pool, start_s)
        if score < lowest:
            lowest = score
            for i in range(jobs):
                best[i] = order[i]
    for n in range(moves.shape[0]):
        source = np.int64(moves[n, 0] * jobs)
        target = np.int64(moves[n, 1] * jobs)
        for i in range(jobs):
            order[i] = best[i]
        moved = order[source]
        step = 1 if target > source else -1
        for place in range(source, target, step):
            order[place] = order[place + step]
        order[target] = moved
        score = _plan(order, gang, run_s, home, stay_s, age_s, equal_s, free_s, gpus, beta, at_s, pool, start_s)
        if score < lowest:
            lowest = score
            for i in range(jobs):
                best[i] = order[i]
    return _plan(best, gang, run_s, home, stay_s, age_s, equal_s, free_s, gpus, beta, at_s, pool, start_s)
