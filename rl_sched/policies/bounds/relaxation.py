"""From a cluster to one machine: how much of all capacity a job takes at least.

Let a job with demand ``d`` that runs on pool p count as ``f(d / gpus_p)`` there, where f is a dual feasible function:
whatever fits a pool counts as 1 at most (Fekete and Schepers, 2001). Let every pool have a price ``v_p >= 0``, all
prices adding up to 1. Then at any moment ``sum_j v_(pool of j) f_j <= 1``. A job that does a fraction ``a`` of its work
on pool p spends ``a duration_p`` there, at the cost ``a v_p f(d / gpus_p) duration_p``; so the whole job, wherever and
in however many pieces it runs, costs at least

    ``q_j = min_p v_p f(d_j / gpus_p) duration_jp``.

Hence any schedule, preemptive and migrating ones included, gives a schedule of one machine of speed 1 that works on
jobs of length q (on several at a time, at speeds that add up to 1 at most) between the same submissions and finishes.
This holds for every f and all prices; these decide only how much is lost.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from rl_sched.workload import WHOLE_GPU

#: Dual feasible functions tried: 0 is the identity, k > 0 rounds a demand down to multiples of 1 / k unless it is one
#: of 1 / (k + 1): for k = 1 a gang of more than half the pool counts as the whole, a smaller one as nothing.
SHAPES = (0, 1, 2, 3)
#: Prices are found on at most this many jobs, evenly spaced; any prices are valid for all.
_SAMPLE = 1000


def weights(demand_milli: np.ndarray, gpus: np.ndarray, shape: int) -> np.ndarray:
    """(n, P) float64 ``f(d / gpus)``, in whole numbers up to the last division.

    Args:
        demand_milli: (n,) int64 thousandths of a GPU.
        gpus: (P,) int64.
        shape: One of ``SHAPES``.
    """
    part, whole = demand_milli[:, None], WHOLE_GPU * gpus[None, :]
    if shape == 0:
        return part / whole
    times, rest = np.divmod((shape + 1) * part, whole)
    return np.where(rest == 0, part / whole, times / shape)


def costs(duration_s: np.ndarray, demand_milli: np.ndarray, gpus: np.ndarray) -> Iterator[np.ndarray]:
    """Machine times q (n,) of several relaxations of the same jobs: equal prices per GPU, then fitted ones.

    The fitted prices are those for which all costs add up to most.
    """
    for shape in SHAPES:
        with np.errstate(invalid="ignore"):
            cost = np.where(np.isfinite(duration_s), weights(demand_milli, gpus, shape) * duration_s, np.inf)
        if shape == 0:
            yield (cost * (gpus / gpus.sum())).min(axis=1)
        if len(gpus) > 1 or shape > 0:
            yield _priced(cost, fitted_prices(cost[:: -(-len(cost) // _SAMPLE)]))


def _priced(cost: np.ndarray, price: np.ndarray) -> np.ndarray:
    """(n,) cheapest cost of each job; a pool of price 0 is free of charge to those that may run there."""
    able = np.isfinite(cost)
    return np.where(able, np.where(able, cost, 0.0) * price, np.inf).min(axis=1)


def fitted_prices(cost: np.ndarray) -> np.ndarray:
    """(P,) prices v >= 0 that add up to 1 and maximise ``sum_j min_p v_p cost[j, p]``: a linear program."""
    n, pools = cost.shape
    if pools == 1:
        return np.ones(1)
    job, pool = np.nonzero(np.isfinite(cost))
    row = np.arange(len(job))
    # Columns: P prices, n cheapest costs. Rows: cheapest <= price * cost, scaled so that the numbers are near 1.
    unit = max(float(cost[job, pool].max()), np.finfo(float).tiny)
    entries = np.concatenate([-cost[job, pool] / unit, np.ones(len(job))])
    rows = coo_array((entries, (np.tile(row, 2), np.concatenate([pool, pools + job]))), shape=(len(job), pools + n))
    found = linprog(
        np.concatenate([np.zeros(pools), -np.ones(n)]),
        A_ub=rows.tocsr(),
        b_ub=np.zeros(len(job)),
        A_eq=np.concatenate([np.ones(pools), np.zeros(n)])[None, :],
        b_eq=np.ones(1),
        method="highs",
    )
    if not found.success:  # any prices are valid
        return np.full(pools, 1 / pools)
    price = np.clip(found.x[:pools], 0.0, None)
    return price / price.sum()


def components(duration_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Parts of the cluster that share no job, such as virtual clusters: (n,) and (P,) int64 number of the part."""
    able = np.isfinite(duration_s)
    joint = able.T.astype(np.int64) @ able
    _, of_pool = connected_components(joint, directed=False)
    return of_pool[able.argmax(axis=1)], of_pool
