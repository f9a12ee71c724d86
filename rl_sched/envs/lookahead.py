"""Lookahead modes: what a learner is told about the time until GPUs are free. One shape for all of them.

Each takes ``remaining (N, K)``: for N environments and the K GPUs of one type, the time until the GPU is free as a
fraction of the horizon, clipped to [0, 1], 0 = idle. Each returns an array of the same shape with values in [0, 1].
"""

from __future__ import annotations

import numpy as np


def off(remaining: np.ndarray) -> np.ndarray:
    """Nothing: zeros."""
    return np.zeros_like(remaining)


def per_gpu(remaining: np.ndarray) -> np.ndarray:
    """Entry k belongs to GPU k."""
    return remaining


def ascending(remaining: np.ndarray) -> np.ndarray:
    """The same values, smallest first: entry k = when k+1 GPUs of the type are free."""
    return np.sort(remaining, axis=1)


def cdf(remaining: np.ndarray) -> np.ndarray:
    """Entry j = share of the GPUs that are free within (j+1)/K of the horizon."""
    k = remaining.shape[1]
    thresholds = np.arange(1, k + 1, dtype=remaining.dtype) / k
    return (remaining[:, None, :] <= thresholds[None, :, None]).mean(axis=2, dtype=remaining.dtype)
