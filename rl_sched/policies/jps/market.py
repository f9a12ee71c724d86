"""Workers for a category by a market that always clears: an auction, in which workers bid for places at jobs.

Job i offers c_i equal places; worker k is worth a_ik = v_i rho_ik there, with v_i = w_i / R_i^2 of the relaxation, and
bids for the place that leaves it most, up to the point of indifference to the next best, plus ``step`` (Bertsekas and
Castanon, 1989: similar objects). Places start at price 0: the relaxation's own prices, at which its own counts clear.
There are as many places as workers and every bid raises a price by ``step`` at least, so it ends, each place sold; the
value is within K times ``step`` of the best assignment. Prices and profits are its dual: a certificate.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from rl_sched.policies.jps.arrays import Problem
from rl_sched.sim.jit import kernel

#: Usual ``step``, relative to the mean value of a worker at its best job: the local search corrects what it loses.
STEP = 2e-3


class Market(NamedTuple):
    """A cleared market."""

    owner: np.ndarray  # (K,) int64 job of each worker, -1 = idle
    place_price: np.ndarray  # (S + 1,) price of the cheapest place of each job, and of the idle part
    value: float  #: sum of a over the workers and their jobs
    bound: float  #: no assignment of this category has a larger value


def clear(problem: Problem, v: np.ndarray, categories: np.ndarray, step: float = STEP) -> np.ndarray:
    """(n, K) int64 owners: one assignment for each category.

    Args:
        problem: The problem.
        v: (S,) value of a unit of rate at each job.
        categories: (n, S + 1) places of each job, and idle ones; each row sums up to K.
        step: See ``STEP``.
    """
    value = _values(problem, v)
    out = np.empty((len(categories), value.shape[1]), np.int64)
    _clear_all(value, categories, _size(value, step), out, *_scratch(value))
    return out


def market(problem: Problem, v: np.ndarray, category: np.ndarray, step: float = STEP) -> Market:
    """One category with its prices and its certificate."""
    value = _values(problem, v)
    k = value.shape[1]
    owner = np.zeros((1, k), np.int64)
    scratch = _scratch(value)
    _clear_all(value, np.ascontiguousarray(category)[None, :], _size(value, step), owner, *scratch)
    ends = np.cumsum(category)
    price = np.array([scratch[0][e - c : e].min() if c else np.inf for c, e in zip(category, ends, strict=True)])
    profit = (value - price[:, None]).max(axis=0)
    # Any prices are a dual solution if all places of a job cost the same.
    bound = float(profit.sum() + (price[category > 0] * category[category > 0]).sum())
    row = np.where(owner[0] < 0, len(value) - 1, owner[0])
    return Market(owner[0], price, float(value[row, np.arange(k)].sum()), bound)


def exact_assignment(problem: Problem, v: np.ndarray, category: np.ndarray) -> tuple[np.ndarray, float]:
    """The best assignment of a category, by SciPy's: (K,) owners, and its value."""
    value = _values(problem, v)
    place = np.repeat(np.arange(len(value)), category)
    rows, columns = linear_sum_assignment(value[place], maximize=True)
    owner = np.zeros(value.shape[1], np.int64)
    owner[columns] = place[rows]
    total = float(value[owner, np.arange(len(owner))].sum())
    return np.where(owner == len(value) - 1, -1, owner), total


def _values(problem: Problem, v: np.ndarray) -> np.ndarray:
    s, k = problem.rate.shape
    value = np.zeros((s + 1, k))
    np.multiply(v[:, None], problem.rate, out=value[:s])
    return value


def _size(value: np.ndarray, step: float) -> float:
    return step * float(value.max(axis=0).mean())


def _scratch(value: np.ndarray) -> tuple[np.ndarray, ...]:
    k = value.shape[1]
    return np.empty(k), np.empty(k, np.int64), np.empty(k, np.int64), np.empty(k, np.int64)


@kernel
def _clear_all(value, categories, step, out, price, holder, job_of, queue):
    parts, workers = value.shape
    for row in range(categories.shape[0]):
        place = 0
        for i in range(parts):
            for _ in range(categories[row, i]):
                price[place], holder[place], job_of[place] = 0.0, -1, i
                place += 1
        for k in range(workers):
            queue[k] = k
        length = workers
        while length > 0:
            length -= 1
            k = queue[length]
            best, second, best_place = -np.inf, -np.inf, 0
            place = 0
            for i in range(parts):
                cheapest, cheap_place, next_cheapest = np.inf, 0, np.inf
                for _ in range(categories[row, i]):
                    if price[place] < cheapest:
                        next_cheapest, cheapest, cheap_place = cheapest, price[place], place
                    elif price[place] < next_cheapest:
                        next_cheapest = price[place]
                    place += 1
                if cheapest < np.inf:
                    profit = value[i, k] - cheapest
                    if profit > best:
                        second = max(second, best)
                        best, best_place = profit, cheap_place
                    else:
                        second = max(second, profit)
                    second = max(second, value[i, k] - next_cheapest)
            if holder[best_place] >= 0:
                queue[length] = holder[best_place]
                length += 1
            price[best_place] += (best - second if second > -np.inf else 0.0) + step
            holder[best_place] = k
        for place in range(workers):
            out[row, holder[place]] = job_of[place] if job_of[place] < parts - 1 else -1
