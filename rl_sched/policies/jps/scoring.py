"""The state of a search, what a job's time is, and the score of a change, inside the kernels.

    score = beta J + (1 - beta) (1 - F) J

J is the mean JCT and F Jain's index (Jain, Chiu and Hawe, 1984) of JCT over the JCT of an equal share. A change touches
two jobs, so that its score takes their new JCTs and three sums (``contention``: where jobs share links). Scores of
different beta are not comparable.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rl_sched.policies.jps.arrays import Problem
from rl_sched.policies.jps.linear_search import NOTHING
from rl_sched.sim.jit import helper


class Search(NamedTuple):
    """One placement while it is being changed. ``new_search`` makes one."""

    owner: np.ndarray  # (K,) int64 job of each worker, -1 = idle
    rate: np.ndarray  # (S,) sum of rates
    size: np.ndarray  # (S,) int64 workers
    of_link: np.ndarray  # (S, L) int64 workers on each class of links
    time_s: np.ndarray  # (S,) JCT
    slope: np.ndarray  # (S,) w / R^2: what a unit of rate more would save at most (``linear_search``)
    sums: np.ndarray  # (3,) of JCT, of its ratio to the equal share's, of the squares of that
    changed: np.ndarray  # (S,) int64 when a job was changed last
    looked: np.ndarray  # (K,) int64 when a worker was looked at last
    inside: np.ndarray  # (S, links) int64 workers of each job below each shared link
    load: np.ndarray  # (links,) int64 jobs that cross each shared link
    tried: np.ndarray  # (links,) int64 the same after a change that is only weighed


def new_search(problem: Problem) -> Search:
    """Room for one placement."""
    (s, k), links, shared = problem.rate.shape, problem.sync_s.shape[1], problem.shared_s.shape[1]
    return Search(
        np.zeros(k, np.int64), np.zeros(s), np.zeros(s, np.int64), np.zeros((s, links), np.int64), np.zeros(s),
        np.zeros(s), np.zeros(3), np.zeros(s, np.int64), np.zeros(k, np.int64), np.zeros((s, shared), np.int64),
        np.zeros(shared, np.int64), np.zeros(shared, np.int64),
    )  # fmt: skip


@helper
def exchange_s(p, job, size, nodes, full_s):
    """All exchanges of gradients of a job; ``full_s`` is what twice the bytes take on the slowest of its links."""
    if p.nodes == 0:
        return full_s * (size - 1) / size
    if size < 2:
        return 0.0
    best = np.inf
    if p.ring:
        inside, between = 2 * (size - nodes), 2 * (nodes - 1)
        best = full_s * (size - 1) / size + inside * p.hop_s[job, 0] + between * p.hop_s[job, 1]
    if p.tree:
        depth = 0
        while (1 << depth) < nodes:
            depth += 1
        best = min(best, full_s + 2 * (size / nodes - 1.0) * p.hop_s[job, 0] + 2 * depth * p.hop_s[job, 1])
    return best


@helper
def _time(p, job, rate, size, nodes, full_s):
    if size <= 0 or rate <= NOTHING:
        return np.inf
    return p.work_s[job] / rate + exchange_s(p, job, size, nodes, full_s)


@helper
def crosses(s, job, link):
    """Whether a job has workers on both sides of a shared link."""
    return 0 < s.inside[job, link] < s.size[job]


@helper
def time_now(p, s, job, load):
    """JCT of a job by the counts of its workers; ``load`` is the jobs that cross each shared link."""
    full_s, nodes = p.sync_s[job, _slowest(s, job, -1, -1)], 0
    for link in range(load.shape[0]):
        if link < p.nodes and s.inside[job, link] > 0:
            nodes += 1
        if crosses(s, job, link):
            full_s = max(full_s, load[link] * p.shared_s[job, link])
    return _time(p, job, s.rate[job], s.size[job], nodes, full_s)


@helper
def _slowest(s, job, plus, minus):
    """Slowest class of a job's links after a worker of class ``plus`` came and one of ``minus`` went (-1 = none)."""
    for link in range(s.of_link.shape[1]):
        n = s.of_link[job, link]
        if link == plus:
            n += 1
        if link == minus:
            n -= 1
        if n > 0:
            return link
    return 0


@helper
def time_changed(p, s, job, plus, minus):
    """JCT of a job after worker ``plus`` came and worker ``minus`` went; -1 = none. Shared links are not looked at."""
    rate, size, link_plus, link_minus = s.rate[job], s.size[job], -1, -1
    if plus >= 0:
        rate += p.rate[job, plus]
        size += 1
        link_plus = p.link[plus]
    if minus >= 0:
        rate -= p.rate[job, minus]
        size -= 1
        link_minus = p.link[minus]
    slowest = 0
    if p.idle:
        slowest = _slowest(s, job, link_plus, link_minus)
    return _time(p, job, rate, size, 1, p.sync_s[job, slowest])


@helper
def score_of(beta, jobs, total, ratio, square):
    """The score from the three sums."""
    mean = total / jobs
    if beta >= 1.0:
        return mean
    if not total < np.inf:
        return np.inf
    return mean * (beta + (1.0 - beta) * (1.0 - ratio * ratio / (jobs * square)))


@helper
def score_changed(p, s, beta, one, one_s, two, two_s):
    """The score if job ``one`` took ``one_s`` and job ``two`` took ``two_s``; a job of -1 is none."""
    total, ratio, square = s.sums[0], s.sums[1], s.sums[2]
    if one >= 0:
        old, new = s.time_s[one], one_s
        total += new - old
        if beta < 1.0:
            old, new = old / p.equal_s[one], new / p.equal_s[one]
            ratio += new - old
            square += new * new - old * old
    if two >= 0:
        old, new = s.time_s[two], two_s
        total += new - old
        if beta < 1.0:
            old, new = old / p.equal_s[two], new / p.equal_s[two]
            ratio += new - old
            square += new * new - old * old
    return score_of(beta, p.work_s.shape[0], total, ratio, square)


@helper
def refresh(p, s, beta):
    """Everything anew from the owners; returns the score. A job without a worker takes for ever."""
    jobs, links = s.of_link.shape
    for i in range(jobs):
        s.rate[i], s.size[i] = 0.0, 0
        for link in range(links):
            s.of_link[i, link] = 0
        for link in range(s.inside.shape[1]):
            s.inside[i, link] = 0
    for k in range(s.owner.shape[0]):
        i = s.owner[k]
        if i >= 0:
            s.rate[i] += p.rate[i, k]
            s.size[i] += 1
            s.of_link[i, p.link[k]] += 1
            for level in range(p.above.shape[1]):
                s.inside[i, p.above[k, level]] += 1
    return retime(p, s, beta)


@helper
def retime(p, s, beta):
    """Loads, times and sums anew from the counts; returns the score."""
    jobs = p.work_s.shape[0]
    for link in range(s.load.shape[0]):
        s.load[link] = 0
        for i in range(jobs):
            if crosses(s, i, link):
                s.load[link] += 1
    s.sums[0], s.sums[1], s.sums[2] = 0.0, 0.0, 0.0
    for i in range(jobs):
        s.time_s[i] = time_now(p, s, i, s.load)
        relative = s.time_s[i] / p.equal_s[i]
        s.sums[0] += s.time_s[i]
        s.sums[1] += relative
        s.sums[2] += relative * relative
    return score_of(beta, jobs, s.sums[0], s.sums[1], s.sums[2])


@helper
def give(p, s, worker, job):
    """Gives a worker to a job (-1 = nobody) and brings rates and counts, but no times, up to date."""
    i, link = s.owner[worker], p.link[worker]
    if i >= 0:
        s.rate[i] -= p.rate[i, worker]
        s.size[i] -= 1
        s.of_link[i, link] -= 1
        for level in range(p.above.shape[1]):
            s.inside[i, p.above[worker, level]] -= 1
    if job >= 0:
        s.rate[job] += p.rate[job, worker]
        s.size[job] += 1
        s.of_link[job, link] += 1
        for level in range(p.above.shape[1]):
            s.inside[job, p.above[worker, level]] += 1
    s.owner[worker] = job


@helper
def settle(p, s, one, one_s, two, two_s):
    """Takes over two new times; the workers have been given."""
    if one >= 0:
        old, new = s.time_s[one] / p.equal_s[one], one_s / p.equal_s[one]
        s.sums[0] += one_s - s.time_s[one]
        s.sums[1] += new - old
        s.sums[2] += new * new - old * old
        s.time_s[one] = one_s
    if two >= 0:
        old, new = s.time_s[two] / p.equal_s[two], two_s / p.equal_s[two]
        s.sums[0] += two_s - s.time_s[two]
        s.sums[1] += new - old
        s.sums[2] += new * new - old * old
        s.time_s[two] = two_s
