"""Local search on the score itself: moves, swaps, and with communication drops; restarts by kicks.

A worker moves to the job (or, where workers may be idle, to nobody), or swaps with the worker, that lowers the score
most. Pairs of jobs that have not changed since a worker was looked at are skipped. With communication a job may also
drop all its workers on its slowest class of links at once, and with shared links all those below one of them: steps
that no series of improving moves makes.
"""

from __future__ import annotations

import numpy as np

from rl_sched.policies.jps.arrays import Problem
from rl_sched.policies.jps.contention import leave_links, score_shared
from rl_sched.policies.jps.linear_search import LEAST_GAIN, MAX_PASSES, improve_linear
from rl_sched.policies.jps.scoring import (
    exchange_s,
    give,
    new_search,
    refresh,
    retime,
    score_changed,
    settle,
    time_changed,
)
from rl_sched.sim.jit import helper, kernel, routine

#: Workers whose owners a kick shifts in a circle.
KICKED = 4


def search(problem: Problem, starts: np.ndarray, kicks: np.ndarray, beta: float) -> tuple[np.ndarray, float]:
    """The best placement found from the starts, and from kicks of the best one.

    Args:
        problem: The problem.
        starts: (n, K) owners, n >= 1; a job without a rate gets its reserved worker.
        kicks: (m, ``KICKED``) workers that hand their owners on in a circle: the best placement so far is disturbed so
            and searched again, m times.
        beta: Weight of the mean JCT against fairness.

    Returns:
        (K,) owners, and their score.
    """
    best = np.zeros(starts.shape[1], np.int64)
    score = _search(problem, new_search(problem), starts, kicks, beta, best)
    return best, float(score)


@helper
def _mend(p, s, beta):
    """Gives every job its reserved worker if some job cannot run; returns the score."""
    score = refresh(p, s, beta)
    for i in range(p.work_s.shape[0]):
        if not s.time_s[i] < np.inf:
            for job in range(p.work_s.shape[0]):
                s.owner[p.reserved[job]] = job
            return refresh(p, s, beta)
    return score


@helper
def _best_change(p, s, beta, k, limit, tick):
    """Applies the best move or swap of worker ``k`` that brings the score below ``limit``; returns the score."""
    jobs, workers = p.rate.shape
    i = s.owner[k]
    fresh = i < 0 or s.changed[i] > s.looked[k]
    best, best_job, best_worker, best_i_s, best_j_s = limit, -2, -1, 0.0, 0.0
    without_s = 0.0
    if i >= 0:
        without_s = time_changed(p, s, i, -1, k)
    if without_s < np.inf:
        for j in range(-1 if p.idle else 0, jobs):
            if j == i or not (fresh or j < 0 or s.changed[j] > s.looked[k]):
                continue
            with_s = 0.0
            if j >= 0:
                with_s = time_changed(p, s, j, k, -1)
            if p.nodes > 0:
                score = score_shared(p, s, beta, k, j, -1)
            else:
                score = score_changed(p, s, beta, i, without_s, j, with_s)
            if score < best:
                best, best_job, best_worker, best_i_s, best_j_s = score, j, -1, without_s, with_s
    for other in range(workers):
        j = s.owner[other]
        if j == i or p.twin[other] == p.twin[k] or not (fresh or j < 0 or s.changed[j] > s.looked[k]):
            continue
        i_s, j_s = 0.0, 0.0
        if i >= 0:
            i_s = time_changed(p, s, i, other, k)
        if j >= 0:
            j_s = time_changed(p, s, j, k, other)
        if p.nodes > 0:
            score = score_shared(p, s, beta, k, j, other)
        else:
            score = score_changed(p, s, beta, i, i_s, j, j_s)
        if score < best:
            best, best_job, best_worker, best_i_s, best_j_s = score, j, other, i_s, j_s
    s.looked[k] = tick
    if best_job == -2:
        return limit
    give(p, s, k, best_job)
    if best_worker >= 0:
        give(p, s, best_worker, i)
    if p.nodes > 0:
        retime(p, s, beta)
    else:
        settle(p, s, i, best_i_s, best_job, best_j_s)
    if i >= 0:
        s.changed[i] = tick + 1
    if best_job >= 0:
        s.changed[best_job] = tick + 1
    return best


@helper
def _drop_slowest(p, s, beta, score):
    """Lets a job go without its workers on the slowest links where that lowers the score; returns the score."""
    jobs, links = s.of_link.shape
    for i in range(jobs):
        slowest = 0
        while slowest < links and s.of_link[i, slowest] == 0:
            slowest += 1
        if slowest == links or s.of_link[i, slowest] == s.size[i]:
            continue
        rate, size = 0.0, 0
        following = links
        for k in range(p.link.shape[0]):
            if s.owner[k] == i and p.link[k] > slowest:
                rate += p.rate[i, k]
                size += 1
                following = min(following, p.link[k])
        if rate <= 0.0:
            continue
        time_s = p.work_s[i] / rate + exchange_s(p, i, size, 1, p.sync_s[i, following])
        if score_changed(p, s, beta, i, time_s, -1, 0.0) < score * (1.0 - LEAST_GAIN):
            for k in range(p.link.shape[0]):
                if s.owner[k] == i and p.link[k] == slowest:
                    give(p, s, k, -1)
            score = refresh(p, s, beta)
    return score


@routine
def improve(p, s, beta):
    """Changes ``s`` until nothing helps; returns the score."""
    jobs, workers = p.rate.shape
    score = _mend(p, s, beta)
    tick = 1
    for i in range(jobs):
        s.changed[i] = 1
    for k in range(workers):
        s.looked[k] = 0
    for _ in range(MAX_PASSES):
        before = score
        for k in range(workers):
            limit = score * (1.0 - LEAST_GAIN)
            found = _best_change(p, s, beta, k, limit, tick)
            if found < limit:
                score = found
                tick += 1
        if p.nodes > 0:
            score = leave_links(p, s, beta, score, LEAST_GAIN)
        elif p.idle:
            score = _drop_slowest(p, s, beta, score)
        score = refresh(p, s, beta)  # sums that were only added to drift
        if not score < before * (1.0 - LEAST_GAIN):
            break
        tick += 1
        if p.idle or beta < 1.0:  # a change may then matter to any pair
            for i in range(jobs):
                s.changed[i] = tick
    return score


@helper
def _descend(p, s, beta):
    if beta >= 1.0 and not p.idle:
        return improve_linear(
            p.rate, p.work_s, p.twin, p.reserved, s.owner, s.rate, s.time_s, s.slope, s.changed, s.looked
        )
    return improve(p, s, beta)


@kernel
def _search(p, s, starts, kicks, beta, best):
    workers = starts.shape[1]
    lowest = np.inf
    for n in range(starts.shape[0]):
        for k in range(workers):
            s.owner[k] = starts[n, k]
        score = _descend(p, s, beta)
        if score < lowest or n == 0:
            lowest = score
            for k in range(workers):
                best[k] = s.owner[k]
    for n in range(kicks.shape[0]):
        for k in range(workers):
            s.owner[k] = best[k]
        kept, last = s.owner[kicks[n, 0]], kicks.shape[1] - 1
        for turn in range(last):
            s.owner[kicks[n, turn]] = s.owner[kicks[n, turn + 1]]
        s.owner[kicks[n, last]] = kept
        score = _descend(p, s, beta)
        if score < lowest:
            lowest = score
            for k in range(workers):
                best[k] = s.owner[k]
    return lowest
