"""The exact optimum where jobs share links, by looking at every placement: the oracle of small instances.

Workers that are alike (equal for all jobs, in one node) take their owners in a fixed order, so that placements that
differ by exchanging them are seen once.
"""

from __future__ import annotations

import numpy as np

from rl_sched.errors import PlacementError
from rl_sched.policies.jps.arrays import Problem
from rl_sched.policies.jps.scoring import Search, new_search, refresh
from rl_sched.sim.jit import kernel

#: Placements that are looked at without being asked: about a second.
SOME = 2_000_000
#: At most so many: about a minute.
MOST = 200_000_000


def count_placements(problem: Problem) -> int:
    """How many placements there are, those of alike workers counted apart."""
    s, k = problem.rate.shape
    return (s + (1 if problem.idle else 0)) ** k


def best_of_all(problem: Problem, beta: float = 1.0) -> tuple[np.ndarray, float]:
    """The optimum: (K,) owners, -1 = idle, and its score.

    Raises:
        PlacementError: There are more than ``MOST`` placements.
    """
    if count_placements(problem) > MOST:
        s, k = problem.rate.shape
        raise PlacementError(f"Looking at every placement takes fewer jobs and workers than {s} and {k}.")
    last = np.full(len(problem.twin), -1)  # the worker before that is alike
    for k, twin in enumerate(problem.twin):
        before = np.flatnonzero(problem.twin[:k] == twin)
        if len(before):
            last[k] = before[-1]
    state: Search = new_search(problem)
    best = np.zeros(len(last), np.int64)
    return best, float(_look(problem, state, last, beta, best))


@kernel
def _look(p, s, last, beta, best):
    """Counts through all owners, worker 0 the slowest digit; returns the least score."""
    jobs, workers = p.rate.shape
    least = -1 if p.idle else 0
    lowest = np.inf
    depth = 0
    s.owner[0] = least - 1
    while depth >= 0:
        s.owner[depth] += 1
        if s.owner[depth] >= jobs:
            depth -= 1
            continue
        if depth < workers - 1:
            depth += 1
            s.owner[depth] = (s.owner[last[depth]] if last[depth] >= 0 else least) - 1
            continue
        score = refresh(p, s, beta)
        if score < lowest:
            lowest = score
            for k in range(workers):
                best[k] = s.owner[k]
    return lowest
