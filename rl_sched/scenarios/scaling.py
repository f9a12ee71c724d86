"""A scenario with busier arrivals or a larger cluster: ``default load:1.2``, ``default size:2``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from rl_sched.cluster import ClusterSpec
from rl_sched.errors import ConfigError
from rl_sched.scenarios.base import Scenario
from rl_sched.workload import Workload

#: What may be written after a scenario's name beside its rules.
SCALES = ("load", "size")
MAX_SIZE = 64


def scaled(scenario: Scenario, key: str, value: Any) -> Scenario:
    """The scenario on another scale.

    Args:
        scenario: Whose jobs and hardware are scaled.
        key: ``load``: the same jobs arrive so many times as fast. ``size``: so many times the nodes of every kind, and
            arrivals as many times as fast, so that the load of a GPU stays what it was.
        value: The factor; of ``size`` a whole number.

    Raises:
        ConfigError: The factor is not one.
    """
    whole = key == "size"
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise ConfigError(f"{key} must be a {'whole ' if whole else ''}number; it is {value!r}.")
    if not 0 < value <= (MAX_SIZE if whole else 100):
        raise ConfigError(f"{key} must be above 0 and at most {MAX_SIZE if whole else 100}; it is {value!r}.")
    cluster = scenario.cluster
    if whole:
        groups = tuple(replace(group, nodes=group.nodes * value) for group in cluster.groups)
        cluster = ClusterSpec(groups, cluster.types)
    return replace(scenario, cluster=cluster, make=_faster(scenario.make, float(value)))


def _faster(make: Callable[[int], Workload], factor: float) -> Callable[[int], Workload]:
    return lambda seed: make(seed).scale_load(factor)
