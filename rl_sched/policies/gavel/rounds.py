"""Who runs in the next round: the jobs that are furthest behind their allocation. A pure function."""

from __future__ import annotations

import numpy as np


def pick_round(
    share: np.ndarray,
    received_s: np.ndarray,
    deficit_s: np.ndarray,
    able: np.ndarray,
    need: np.ndarray,
    room: np.ndarray,
    order: np.ndarray,
    *,
    fill: bool = True,
) -> np.ndarray:
    """Gavel's greedy choice (Narayanan et al., OSDI 2020, section 5).

    A job's priority on a pool is its share over the fraction of the pool's time that it has received; that fraction's
    denominator is the same for all jobs of a pool, so the time received is enough. The pools are filled one after the
    other: the jobs without a pool yet are walked through by (priority, deficit, share), largest first, then in order of
    their rows, and those that do not fit are passed by.

    Args:
        share: (n, P) fraction of its time that each job shall run on each pool.
        received_s: (n, P) > 0, time received since the shares were made.
        deficit_s: (n, P) time that earlier shares promised and did not give.
        able: (n, P) where the job may run now.
        need: (n,) what it takes of a pool, in the unit of ``room``.
        room: (P,) what there is.
        order: (P,) pools in the order in which they are filled.
        fill: Jobs without a share of a pool may take what is left there.

    Returns:
        (n,) the pool that each job runs on, -1 = none.
    """
    chosen = np.full(len(need), -1)
    priority = share / received_s
    for pool in order.tolist():
        rows = np.flatnonzero(able[:, pool] & (chosen < 0) & (fill | (share[:, pool] > 0)))
        keys = (-share[rows, pool], -deficit_s[rows, pool], -priority[rows, pool])
        ranked = rows[np.lexsort(keys)]
        wanted = need[ranked]
        least = wanted.min(initial=0)
        left = room[pool]
        for row, amount in zip(ranked.tolist(), wanted.tolist(), strict=True):
            if amount <= left:
                chosen[row] = pool
                left -= amount
                if left < least:
                    break
    return chosen
