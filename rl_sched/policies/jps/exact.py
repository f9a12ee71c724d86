"""The exact optimum without communication: branch and bound on reduced costs.

With v of the relaxation, every placement costs exactly

    sum_i w_i / R_i = LB(v) + sum_i g_i(R_i) + sum_k c_k,   g_i(R) = w_i / R + v_i R - 2 sqrt(w_i v_i) >= 0,
                                                            c_k = max_j v_j rho_jk - v_i rho_ik >= 0 for k's owner i

so that a partial placement is bounded by what it has paid: the c of its workers, and g where a job's rate is already
above its own best one, or cannot reach it. Workers that matter most come first, cheap owners before dear ones. Workers
that are equal for all jobs take owners in a fixed order: without that the equal ones of a type multiply the tree.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rl_sched.policies.jps.arrays import Problem
from rl_sched.policies.jps.relaxation import Relaxation
from rl_sched.sim.jit import helper, kernel

#: A branch must promise to be better by this part, else it is cut: the proof holds up to it.
PROVEN = 1e-9


class Exact(NamedTuple):
    """The best placement, and whether it is proven to be that."""

    owner: np.ndarray  # (K,) int64
    total_s: float  #: its sum of JCTs
    proven: bool
    nodes: int  #: of the tree


def branch_and_bound(problem: Problem, relaxation: Relaxation, start: np.ndarray, max_nodes: int) -> Exact:
    """Improves a placement to the optimum, or as far as the limit lets it.

    Args:
        problem: Without communication.
        relaxation: Its relaxation.
        start: (K,) owners of a placement that serves every job.
        max_nodes: Limit of the tree.
    """
    s, k = problem.rate.shape
    value = relaxation.v[:, None] * problem.rate
    reduced = value.max(axis=0) - value  # (S, K)
    # Big workers first, equal ones beside each other.
    order = np.lexsort((problem.twin, -np.round(value.max(axis=0), 12)))
    children = np.argsort(reduced, axis=0, kind="stable")  # (S, K)
    remaining = np.zeros((s, k + 1))  # rate that workers from a depth on could still give
    remaining[:, :k] = np.cumsum(problem.rate[:, order][:, ::-1], axis=1)[:, ::-1]
    own = np.where(start[None, :] == np.arange(s)[:, None], problem.rate, 0.0).sum(axis=1)
    best = start.astype(np.int64)
    total_s = np.array([float((problem.work_s / own).sum())])
    nodes = _search(
        problem.rate, problem.work_s, relaxation.v, problem.twin, order, reduced, children, remaining, max_nodes,
        best, total_s, np.zeros(k, np.int64), np.zeros(s), np.zeros(k + 1), np.zeros(k, np.int64),
    )  # fmt: skip
    return Exact(best, float(total_s[0]), nodes < max_nodes, int(nodes))


@helper
def _slack(work, v, rate, remaining, depth):
    """Sum of g at the rate nearest to each job's best one that is still in reach."""
    total = 0.0
    for i in range(work.shape[0]):
        least, most = rate[i], rate[i] + remaining[i, depth]
        if most <= 0.0:
            return np.inf
        own = np.sqrt(work[i] / v[i])
        at = least if least > own else (most if most < own else own)
        total += work[i] / at + v[i] * at - 2.0 * np.sqrt(work[i] * v[i])
    return total


@kernel
def _search(rate, work, v, twin, order, reduced, children, remaining, limit, best, total, rank, own, paid, owner):
    """Depth first; ``rank[d]`` is the child of depth ``d`` in hand. Returns the nodes seen, ``limit`` if not done."""
    jobs, workers = rate.shape
    base = 0.0
    for i in range(jobs):
        base += 2.0 * np.sqrt(work[i] * v[i])
    for k in range(workers):
        base -= v[children[0, k]] * rate[children[0, k], k]
    nodes, depth = 0, 0
    rank[0] = -1
    while depth >= 0:
        k = order[depth]
        if rank[depth] >= 0:  # take back the child in hand
            own[owner[depth]] -= rate[owner[depth], k]
        rank[depth] += 1
        if depth > 0 and rank[depth] == 0 and twin[order[depth - 1]] == twin[k]:
            rank[depth] = rank[depth - 1]
        if rank[depth] >= jobs:
            rank[depth] = -1
            depth -= 1
            continue
        i = children[rank[depth], k]
        if base + paid[depth] + reduced[i, k] >= total[0] * (1.0 - PROVEN):
            rank[depth] = -1  # later children are dearer still
            depth -= 1
            continue
        nodes += 1
        if nodes >= limit:
            return limit
        owner[depth] = i
        own[i] += rate[i, k]
        paid[depth + 1] = paid[depth] + reduced[i, k]
        if base + paid[depth + 1] + _slack(work, v, own, remaining, depth + 1) >= total[0] * (1.0 - PROVEN):
            continue
        if depth + 1 < workers:
            depth += 1
            rank[depth] = -1
            continue
        cost = 0.0
        for j in range(jobs):
            cost += work[j] / own[j] if own[j] > 1e-9 else np.inf
        if cost < total[0]:
            total[0] = cost
            for d in range(workers):
                best[order[d]] = owner[d]
    return nodes
