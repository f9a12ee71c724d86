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


def promise(
    problem: Problem, relaxation: Relaxation, samples: int, alpha: float, rng: np.random.Generator
) -> np.ndarray:
    """Categories from rank ``alpha`` times their number on; with alpha = 0 also the rounded relaxation.

    Where there are more categories than can be listed, ranks above 0 are those among random ones. With communication
    half of the samples are random owners: the market knows nothing of links.
    """
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
