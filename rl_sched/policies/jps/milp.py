"""The problem without communication for a general solver: HiGHS, with w / R replaced by the largest of its tangents.

A peer of the other solvers: it shares nothing with them, and takes a hundred times as long.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from rl_sched.errors import PlacementError
from rl_sched.policies.jps.instance import Instance


def by_milp(
    instance: Instance, cuts: int = 25, *, relative_gap: float = 1e-4, limit_s: float = 10.0
) -> tuple[np.ndarray, float]:
    """(K,) owners, and what the tangents make of their mean JCT: at most a relative gap above any placement's.

    Args:
        instance: Without communication.
        cuts: Tangents of each job, at rates in equal ratios.
        relative_gap: Where the solver stops.
        limit_s: When it stops.

    Raises:
        PlacementError: It found no placement in time.
    """
    s, k = instance.throughput.shape
    scale = instance.throughput.sum(axis=1)
    rate = instance.throughput / scale[:, None]  # R in (0, 1]
    rows, least = [], []
    for i in range(s):
        for at in np.geomspace(rate[i][rate[i] > 0].min(), 1.0, cuts):  # t >= 1 / at - (R - at) / at^2
            row = np.zeros(s * k + s)
            row[i * k : (i + 1) * k] = rate[i] / at**2
            row[s * k + i] = 1.0
            rows.append(row)
            least.append(2.0 / at)
    assign = np.hstack([np.tile(np.eye(k), s), np.zeros((k, s))])
    # Tangents allow a rate of 0, at the price of twice the time at the least rate of a worker.
    able = np.hstack([np.kron(np.eye(s), np.ones(k)) * (rate > 0).ravel(), np.zeros((s, s))])
    found = milp(
        np.concatenate([np.zeros(s * k), instance.work_samples / scale]),
        constraints=[
            LinearConstraint(np.array(rows), np.array(least), np.inf),
            LinearConstraint(assign, 1, 1),
            LinearConstraint(able, 1, np.inf),
        ],
        integrality=np.concatenate([np.ones(s * k), np.zeros(s)]),
        bounds=Bounds(0, np.concatenate([np.ones(s * k), np.full(s, np.inf)])),
        options={"mip_rel_gap": relative_gap, "time_limit": limit_s},
    )
    if found.x is None:
        raise PlacementError(f"HiGHS must find a placement within {limit_s:g} s; it found none. Give it more time.")
    owner = found.x[: s * k].reshape(s, k).argmax(axis=0)
    return owner, float(found.fun) / s
