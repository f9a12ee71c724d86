"""Speeds of made-up job classes on GPU types: from bound by memory to bound by arithmetic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rl_sched.cluster import GPU_TYPES

#: Exponents of four classes: 0 = as fast on every type, 1 = as much faster as the type's FLOPS are higher.
BETAS = (0.0, 1 / 3, 2 / 3, 1.0)
_DECIMALS = 6  # powers differ in the last bit between machines


def flops_speeds(gpu_types: Sequence[str], betas: Sequence[float] = BETAS) -> np.ndarray:
    """(C, T) speed of each class on each type: (FLOPS of the type / FLOPS of the first type) ** beta.

    Args:
        gpu_types: (T,) names of the catalogue; a run time is stated for the first.
        betas: (C,) one exponent a class.
    """
    flops = np.array([GPU_TYPES[name].flops for name in gpu_types])
    return np.round((flops / flops[0]) ** np.asarray(betas)[:, None], _DECIMALS)
