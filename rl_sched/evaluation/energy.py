"""Energy and cost of a run. P pools.

A GPU draws its type's busy power while a job is on it (a shared one by the share in use) and its idle power the rest
of the time from the first submission to the last event; nodes that are out of order count as idle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rl_sched.errors import ConfigError
from rl_sched.registry import did_you_mean

if TYPE_CHECKING:
    from rl_sched.cluster import ClusterSpec
    from rl_sched.evaluation.timeline import Segments
    from rl_sched.sim.result import RunResult

_WS_PER_KWH = 3.6e6
_S_PER_H = 3600.0
_S_PER_DAY = 86_400.0
_HOURS = 24
Tariff = tuple[tuple[str, tuple[float, ...]], ...]


def pool_energy_kwh(result: RunResult) -> np.ndarray:
    """(P,) energy of each pool's GPUs in kWh."""
    idle_w, busy_w = _watts(result.cluster)
    busy = result.pool_busy_gpu_s
    idle = result.cluster.pool_gpus * result.makespan_s - busy
    return (busy * busy_w + idle * idle_w) / _WS_PER_KWH


def gpu_cost_usd(result: RunResult) -> float:
    """Busy GPU-hours times the price of each type."""
    cluster = result.cluster
    price = np.array([cluster.catalogue[cluster.type_names[t]].price_per_h for t in cluster.pool_type])
    return float((result.pool_busy_gpu_s / _S_PER_H * price).sum())


def check_tariff(tariff: Tariff, cluster: ClusterSpec) -> None:
    """Raises unless a tariff suits a cluster.

    Raises:
        ConfigError: It names a type that the cluster does not know.
    """
    for name, _ in tariff:
        if name != "*" and name not in cluster.catalogue:
            near = did_you_mean(name, cluster.catalogue)
            raise ConfigError(f"A tariff must name GPU types or '*'; it names {name!r}. {near}")


def electricity_cost_usd(result: RunResult, tariff: Tariff, parts: Segments | None = None) -> float:
    """Energy times the price of the hour and GPU type.

    Args:
        result: Of the run.
        tariff: ``Rules.tariff``; types that it does not name, and has no ``*`` for, cost nothing.
        parts: Segments of the run.

    Returns:
        Dollars; nan where prices depend on the hour, jobs were interrupted and there are no segments to tell when.

    Raises:
        ConfigError: The tariff names a type that the cluster does not know.
    """
    cluster, prices = result.cluster, dict(tariff)
    check_tariff(tariff, cluster)
    names = [cluster.type_names[t] for t in cluster.pool_type]
    by_hour = np.array([np.resize(prices.get(name, prices.get("*", (0.0,))), _HOURS) for name in names])  # (P, 24)
    if (by_hour == by_hour[:, :1]).all():
        return float(pool_energy_kwh(result) @ by_hour[:, 0])
    from rl_sched.evaluation import timeline  # the log's kinds come with the kernels' compiler: only when needed

    if parts is None:
        if not timeline.one_segment_each(result):
            return float("nan")
        parts = timeline.segments(result)
    return float((_hourly_energy_kwh(result, parts) * by_hour).sum())


def _hourly_energy_kwh(result: RunResult, parts: Segments) -> np.ndarray:
    """(P, 24) energy by hour of the day."""
    from rl_sched.evaluation import timeline

    idle_w, busy_w = _watts(result.cluster)
    whole = _hours_of_day(timeline.end_of(result)) - _hours_of_day(float(result.submit_s[0]))  # (24,)
    held = (_hours_of_day(parts.end_s) - _hours_of_day(parts.start_s)) * parts.busy_gpus[:, None]  # (k, 24)
    busy = np.zeros((result.cluster.num_pools, _HOURS))
    np.add.at(busy, parts.pool, held)
    idle = result.cluster.pool_gpus[:, None] * whole - busy
    return (busy * busy_w[:, None] + idle * idle_w[:, None]) / _WS_PER_KWH


def _hours_of_day(until_s: np.ndarray | float) -> np.ndarray:
    """(..., 24) seconds that lie in each hour of the day, from midnight at time 0 until then."""
    days, rest = np.divmod(np.asarray(until_s, dtype=np.float64)[..., None], _S_PER_DAY)
    return days * _S_PER_H + np.clip(rest - np.arange(_HOURS) * _S_PER_H, 0.0, _S_PER_H)


def _watts(cluster: ClusterSpec) -> tuple[np.ndarray, np.ndarray]:
    """(P,) idle and busy power of one GPU."""
    types = [cluster.catalogue[cluster.type_names[t]] for t in cluster.pool_type]
    return np.array([t.idle_w for t in types]), np.array([t.busy_w for t in types])
