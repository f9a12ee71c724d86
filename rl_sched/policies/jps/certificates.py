"""Certificates: how far from the best a placement may be. Every bound is of the mean JCT.

| without communication | K <= 24 and S <= 6 (or a limit of one's own) | branch and bound: the optimum |
|                       | beyond                                       | the relaxation's dual |
| with communication    | K <= 12                                      | dynamic programming over sets: the optimum |
|                       | beyond                                       | Lagrangian bound |
| with shared links     | (S + 1)^K <= 2 million                       | every placement: the optimum |
|                       | beyond                                       | Lagrangian bound, as if every job were alone |
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rl_sched.policies.jps import lagrangian
from rl_sched.policies.jps.arrays import problem_of
from rl_sched.policies.jps.exact import branch_and_bound
from rl_sched.policies.jps.exhaustive import SOME, best_of_all, count_placements
from rl_sched.policies.jps.instance import Instance
from rl_sched.policies.jps.local_search import KICKED, search
from rl_sched.policies.jps.placement import Placement, measured
from rl_sched.policies.jps.relaxation import relax
from rl_sched.policies.jps.subsets import best_subsets

#: Nodes of the tree; every instance of S <= 6 and K <= 24 met so far took less than a tenth of it.
MAX_NODES = 20_000_000
#: Beyond these, the tree is not tried.
TREE_JOBS, TREE_WORKERS = 6, 24
#: Most workers for dynamic programming without being asked: beyond, it takes seconds.
SETS_WORKERS = 12


@dataclass(frozen=True, slots=True, eq=False)
class Certificate:
    """A lower bound of the mean JCT of every placement of an instance, and the best placement known."""

    bound_s: float
    proven: bool  #: whether ``best`` is optimal
    method: str
    best: Placement

    def gap(self, placement: Placement) -> float:
        """How far a placement's mean JCT is above the bound, relative to that."""
        return max(0.0, placement.mean_jct_s / self.bound_s - 1.0)


def certify(
    instance: Instance, known: Placement, *, max_nodes: int = MAX_NODES, exact: bool | None = None
) -> Certificate:
    """The best certificate that is cheap, or an exact one.

    Args:
        instance: The jobs and workers.
        known: A placement: the better it is, the sooner a search ends.
        max_nodes: Limit of branch and bound; where it is reached the relaxation's bound stands.
        exact: True = try the exact method whatever it takes, False = a bound only, None = exact where that is cheap.

    Raises:
        PlacementError: ``exact`` with communication and more than 16 workers, or too many placements.
    """
    problem = problem_of(instance)
    relaxation = relax(problem)
    s, k = problem.rate.shape
    if problem.nodes > 0 and (count_placements(problem) <= SOME if exact is None else exact):
        owner, best_s = best_of_all(problem)
        return Certificate(best_s * (1 - 1e-9), True, "every placement", measured(instance, owner, 1.0, best_s))
    if problem.idle:
        if problem.nodes == 0 and (k <= SETS_WORKERS if exact is None else exact):
            owner, total_s = best_subsets(problem)
            return Certificate(
                total_s / s, True, "dynamic programming over sets", measured(instance, owner, 1.0, total_s / s)
            )
        best_s = max(lagrangian.bound(problem, relaxation, known.mean_jct_s * s), relaxation.bound_s)
        return Certificate(best_s / s, False, "Lagrangian bound", known)
    if (s <= TREE_JOBS and k <= TREE_WORKERS) if exact is None else exact:
        found = branch_and_bound(problem, relaxation, known.owner, max_nodes)
        if found.proven:
            best = measured(instance, found.owner, 1.0, found.total_s / s)
            return Certificate(best.mean_jct_s * (1 - 1e-9), True, "branch and bound", best)
        known = measured(instance, found.owner, 1.0, relaxation.bound_s / s)
    return Certificate(relaxation.bound_s / s, False, "dual of the relaxation", known)


def optimum(instance: Instance, *, max_nodes: int = MAX_NODES) -> Certificate:
    """The exact optimum, from a start of its own (the rounded relaxation, searched locally)."""
    problem = problem_of(instance)
    relaxation = relax(problem)
    start, _ = search(problem, relaxation.owner[None, :], np.zeros((0, KICKED), np.int64), 1.0)
    return certify(instance, measured(instance, start), max_nodes=max_nodes, exact=True)
