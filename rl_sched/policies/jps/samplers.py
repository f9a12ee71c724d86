"""Where the search starts: owners of the workers, (n, K).

``promise`` takes the categories in the order of their promise from a place in it on; ``uniform`` draws categories
without looking at it; ``random`` draws owners without categories: a multi-start search.
"""

from __future__ import annotations

import numpy as np

from rl_sched.policies.jps.arrays import Problem
from rl_sched.policies.jps.categories import (
    MAX_LISTED,
    best_categories,
    costs,
    count_categories,
    random_categories,
)
from rl_sched.policies.jps.market import clear
from rl_sched.policies.jps.relaxation import Relaxation

#: Samples that are packed where links are shared.
PACKED_SHARE = 0.6
#: Logarithmic spread of a packed job's workers about its share of the relaxation.
SPREAD = 0.5


def promise(
    problem: Problem, relaxation: Relaxation, samples: int, alpha: float, rng: np.random.Generator
) -> np.ndarray:
    """Categories from rank ``alpha`` times their number on; with alpha = 0 also the rounded relaxation.

    Where there are more categories than can be listed, ranks above 0 are those among random ones. With communication
    half of the samples are random owners, or, where links are shared, packed ones: the market knows nothing of links.
    """
    if problem.nodes > 0 and samples > 1:
        packed_ones = packed(problem, relaxation, int(PACKED_SHARE * samples), rng)
        chosen = _promising(problem, relaxation, samples - len(packed_ones), alpha, rng)
        return np.concatenate([chosen, packed_ones])
    if problem.idle and samples > 1:
        others = random(problem, relaxation, samples // 2, alpha, rng)
        return np.concatenate([_promising(problem, relaxation, samples - len(others), alpha, rng), others])
    return _promising(problem, relaxation, samples, alpha, rng)


def _promising(
    problem: Problem, relaxation: Relaxation, samples: int, alpha: float, rng: np.random.Generator
) -> np.ndarray:
    total = count_categories(problem)
    first = int(alpha * total)
    if first + samples <= MAX_LISTED:
        chosen = best_categories(problem, relaxation, first + samples)[first:]
    else:
        drawn = random_categories(problem, MAX_LISTED, rng)
        cost = np.take_along_axis(costs(problem, relaxation), drawn.T, axis=1).sum(axis=0)
        chosen = drawn[np.argsort(cost, kind="stable")][int(alpha * len(drawn)) :][:samples]
    if first == 0:
        rounded = relaxation.owner[None, :]
        return np.concatenate([rounded, clear(problem, relaxation.v, chosen[: samples - 1])])
    return clear(problem, relaxation.v, chosen)


def packed(problem: Problem, relaxation: Relaxation, samples: int, rng: np.random.Generator) -> np.ndarray:
    """(n, K) owners: jobs in a random order, side by side along the nodes, with about the relaxation's workers each.

    A job then crosses few links. Nodes and switches come in a random order, whole ones beside each other.
    """
    s, k = problem.rate.shape
    out = np.zeros((samples, k), np.int64)
    for row in out:
        share = relaxation.workers * np.exp(SPREAD * rng.standard_normal(s))
        jobs = rng.permutation(s)
        ends = np.maximum.accumulate(np.maximum(np.cumsum(share[jobs]) / share.sum() * k, np.arange(1, s + 1)))
        owner = jobs[np.minimum(np.searchsorted(np.round(ends), np.arange(k), side="right"), s - 1)]
        places = rng.random((problem.shared_s.shape[1],))
        row[np.lexsort(tuple(places[level] for level in problem.above.T))] = owner
    return out


def uniform(
    problem: Problem, relaxation: Relaxation, samples: int, alpha: float, rng: np.random.Generator
) -> np.ndarray:
    """Categories drawn uniformly; ``alpha`` means nothing."""
    return clear(problem, relaxation.v, random_categories(problem, samples, rng)[:samples])


def random(
    problem: Problem, relaxation: Relaxation, samples: int, alpha: float, rng: np.random.Generator
) -> np.ndarray:
    """Every worker at a random job; ``alpha`` means nothing."""
    s, k = problem.rate.shape
    return rng.integers(0, s, (samples, k))
