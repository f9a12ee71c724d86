"""The oldest job that fits, on the cheapest pool: by energy, or by price."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rl_sched.cluster import ClusterSpec, GpuType
from rl_sched.errors import ConfigError
from rl_sched.policies import rule_kernels
from rl_sched.policies.rule import KernelRule
from rl_sched.sim.rules import Rules
from rl_sched.workload import Workload


@dataclass(frozen=True)
class CheapestPool(KernelRule):
    """Plays ``PowerAware`` or ``CostAware`` on one cluster."""

    max_slowdown: float
    price: tuple[float, ...]  # (P,) of a GPU-second on each pool, in any unit

    code: ClassVar[int] = rule_kernels.CHEAPEST

    def params(self) -> np.ndarray:
        return np.array((self.max_slowdown, *self.price))


@dataclass(frozen=True)
class PoolChooser(ABC):
    """The oldest job that fits, on the pool of the lowest price x run time among those where it fits now.

    Left out are pools on which it would run more than ``max_slowdown`` times as long as on the fastest one where it
    fits now. So it starts the very jobs that ``fifo_backfill`` starts, and with ``max_slowdown`` 1 where that does.

    Raises:
        ConfigError: ``max_slowdown`` is below 1.
    """

    max_slowdown: float = 2.0

    def __post_init__(self) -> None:
        if not self.max_slowdown >= 1:
            raise ConfigError(f"max_slowdown must be >= 1; it is {self.max_slowdown}.")

    @abstractmethod
    def price(self, gpu_type: GpuType) -> float:
        """Of a GPU-second; only ratios matter."""

    def player(self, workload: Workload, cluster: ClusterSpec, rules: Rules) -> CheapestPool:
        """The rule with the prices of this cluster."""
        names = [cluster.type_names[t] for t in cluster.pool_type]
        return CheapestPool(self.max_slowdown, tuple(self.price(cluster.catalogue[name]) for name in names))


@dataclass(frozen=True)
class PowerAware(PoolChooser):
    """Least energy: a running GPU costs its busy watts less the idle watts that it draws anyway."""

    def price(self, gpu_type: GpuType) -> float:
        return gpu_type.busy_w - gpu_type.idle_w


@dataclass(frozen=True)
class CostAware(PoolChooser):
    """Least rent: price per GPU-hour x GPUs x run time."""

    def price(self, gpu_type: GpuType) -> float:
        return gpu_type.price_per_h
