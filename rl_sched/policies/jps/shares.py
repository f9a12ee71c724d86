"""Whole samples of an epoch for every worker: proportional to throughput, and none lost."""

from __future__ import annotations

import numpy as np

from rl_sched.errors import PlacementError


def split(samples: int, throughput: np.ndarray) -> np.ndarray:
    """(m,) int64: whole shares that sum up to ``samples``, each within one of its exact proportion.

    The largest remainders are rounded up (Hamilton's method), ties in the order of the workers.

    Args:
        samples: To be shared, >= 0.
        throughput: (m,) of the workers, >= 0, not all 0.

    Raises:
        PlacementError: There is nothing to share or nobody to share among.
    """
    speed = np.asarray(throughput, np.float64)
    if samples < 0 or speed.ndim != 1 or not speed.size or not (speed >= 0).all() or not speed.sum() > 0:
        raise PlacementError(f"Samples must be >= 0 and some throughput > 0; they are {samples} and {speed.tolist()}.")
    exact = samples * (speed / speed.sum())
    share = np.floor(exact).astype(np.int64)
    missing = samples - int(share.sum())
    order = np.argsort(share - exact, kind="stable")  # largest remainder first
    order = order[speed[order] > 0]
    share[order[:missing]] += 1
    return share


def imbalance(share: np.ndarray, throughput: np.ndarray) -> float:
    """How much longer the last worker computes than the mean of all: 0 = all finish together."""
    busy = share > 0
    time_s = share[busy] / throughput[busy]
    return float(time_s.max() / time_s.mean() - 1.0)
