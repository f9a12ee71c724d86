"""What the hardware is: GPU types, nodes, clusters. Immutable."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from rl_sched import config
from rl_sched.errors import ConfigError
from rl_sched.registry import did_you_mean

#: A node's free GPUs are one 64-bit mask.
MAX_GPUS_PER_NODE = 64
#: Sets of pools are bits of one 64-bit number, and a gang's size shares another with them.
MAX_POOLS = 32

_GROUP = re.compile(r"(?P<type>[A-Za-z0-9_.+-]+):(?P<nodes>[0-9]+)x(?P<gpus>[0-9]+)")


@dataclass(frozen=True)
class GpuType:
    """One model of GPU.

    ``flops`` is the peak single-precision rate (FLOP/s) used as the relative speed of a job that has no
    throughput table; ``memory_gb`` in GB; ``idle_w`` and ``busy_w`` in watts; ``price_per_h`` in $ per GPU-hour.
    """

    name: str
    flops: float
    memory_gb: float = 16
    idle_w: float = 30
    busy_w: float = 250
    price_per_h: float = 1.0

    def __post_init__(self) -> None:
        if not (self.flops > 0 and self.memory_gb > 0 and 0 <= self.idle_w <= self.busy_w and self.price_per_h >= 0):
            raise ConfigError(
                f"A GPU type needs flops > 0, memory_gb > 0, 0 <= idle_w <= busy_w and price_per_h >= 0; got {self}."
            )


# Vendor data sheets (peak FP32 without tensor cores, board power); prices are typical on-demand list prices.
GPU_TYPES: dict[str, GpuType] = {
    t.name: t
    for t in (
        GpuType("gpu", 1.0e13, 16, 30, 250, 1.00),  # a nameless GPU, for logs that do not tell the model
        GpuType("k80", 4.1e12, 12, 30, 150, 0.45),
        GpuType("p100", 9.5e12, 16, 30, 250, 1.46),
        GpuType("m60", 4.8e12, 8, 30, 150, 0.75),
        GpuType("t4", 8.1e12, 16, 10, 70, 0.35),
        GpuType("a10", 3.12e13, 24, 20, 150, 1.00),
        GpuType("rtx4090", 8.26e13, 24, 20, 450, 0.69),
        GpuType("v100m16", 1.57e13, 16, 40, 300, 2.48),
        GpuType("v100m32", 1.57e13, 32, 40, 300, 2.48),
        GpuType("v100", 1.57e13, 32, 40, 300, 2.48),
        GpuType("a100", 1.95e13, 80, 50, 400, 3.67),
        GpuType("h100", 6.7e13, 80, 70, 700, 6.98),
    )
}


@dataclass(frozen=True)
class NodeGroup:
    """``nodes`` equal nodes with ``gpus`` GPUs each, of one type; of the virtual cluster ``vc``, if any."""

    gpu_type: str
    nodes: int
    gpus: int
    vc: str | None = None


@dataclass(frozen=True)
class ClusterSpec:
    """A cluster: node groups in order. GPU and node numbers follow that order.

    Shapes below: T types, P pools, M nodes, G GPUs. A *pool* is all GPUs of one type in one virtual cluster; without
    virtual clusters pools are types. A gang always lies within one pool, and a job of a virtual cluster may use the
    pools of that one only.

    Raises:
        ConfigError: A GPU type is unknown, a count is not positive, a node has more than 64 GPUs, there are more than
            32 pools, or only some groups name a virtual cluster.
    """

    groups: tuple[NodeGroup, ...]
    types: tuple[GpuType, ...] = ()  #: types beside (or instead of, where names are equal) ``GPU_TYPES``

    def __post_init__(self) -> None:
        if not self.groups:
            raise ConfigError("A cluster needs at least one group of nodes; none was given.")
        for group in self.groups:
            if group.gpu_type not in self.catalogue:
                near = did_you_mean(group.gpu_type, self.catalogue)
                raise ConfigError(f"Unknown GPU type {group.gpu_type!r}. {near}")
            if group.nodes < 1 or not 1 <= group.gpus <= MAX_GPUS_PER_NODE:
                raise ConfigError(
                    f"A node group needs nodes >= 1 and 1 <= gpus <= {MAX_GPUS_PER_NODE}; "
                    f"got nodes={group.nodes}, gpus={group.gpus}."
                )
        if len({group.vc is None for group in self.groups}) > 1:
            raise ConfigError("Either every group of nodes names its virtual cluster (vc) or none does; some do.")
        if self.num_pools > MAX_POOLS:
            raise ConfigError(
                f"A cluster may have at most {MAX_POOLS} pools (a GPU type in a virtual cluster); it has "
                f"{self.num_pools}. Simulate fewer virtual clusters at a time."
            )

    @classmethod
    def of(cls, **gpus: int) -> ClusterSpec:
        """One node-sized pool per type: ``ClusterSpec.of(a100=8, v100=4)``; above 8 GPUs, nodes of 8."""
        groups = []
        for name, count in gpus.items():
            full, rest = divmod(count, 8)
            if full:
                groups.append(NodeGroup(name, full, 8))
            if rest:
                groups.append(NodeGroup(name, 1, rest))
        return cls(tuple(groups))

    @classmethod
    def parse(cls, spec: str) -> ClusterSpec:
        """A cluster from a command line: ``TYPE:NODESxGPUS[,...]``, or the path of a YAML file with its fields.

        Raises:
            ConfigError: The text is neither.
        """
        if spec.endswith((".yaml", ".yml")):
            return config.build(cls, config.read_yaml(Path(spec)), where=spec)
        groups = []
        for part in spec.split(","):
            found = _GROUP.fullmatch(part.strip())
            if found is None:
                raise ConfigError(
                    "A cluster is written TYPE:NODESxGPUS[,TYPE:NODESxGPUS...], for instance v100:3x4,k80:2x8, or as "
                    f"the path of a .yaml file; got {part.strip()!r}. Known types: {', '.join(GPU_TYPES)}."
                )
            groups.append(NodeGroup(found["type"], int(found["nodes"]), int(found["gpus"])))
        return cls(tuple(groups))

    @cached_property
    def catalogue(self) -> dict[str, GpuType]:
        """The GPU types that this cluster may name."""
        return {**GPU_TYPES, **{t.name: t for t in self.types}}

    @cached_property
    def type_names(self) -> tuple[str, ...]:
        """(T,) names in order of first appearance."""
        return tuple(dict.fromkeys(g.gpu_type for g in self.groups))

    @cached_property
    def vc_names(self) -> tuple[str, ...]:
        """Names of the virtual clusters in order of first appearance; () where there are none."""
        return tuple(dict.fromkeys(g.vc for g in self.groups if g.vc is not None))

    @cached_property
    def _pools(self) -> tuple[tuple[str | None, str], ...]:
        return tuple(dict.fromkeys((g.vc, g.gpu_type) for g in self.groups))

    @cached_property
    def pool_names(self) -> tuple[str, ...]:
        """(P,) ``type``, or ``vc/type`` with virtual clusters."""
        return tuple(kind if vc is None else f"{vc}/{kind}" for vc, kind in self._pools)

    @cached_property
    def pool_type(self) -> np.ndarray:
        """(P,) int64: index of the pool's GPU type."""
        return np.array([self.type_names.index(kind) for _, kind in self._pools])

    @cached_property
    def pool_vc(self) -> np.ndarray:
        """(P,) int64: index of the pool's virtual cluster; -1 where there are none."""
        return np.array([-1 if vc is None else self.vc_names.index(vc) for vc, _ in self._pools])

    @cached_property
    def node_pool(self) -> np.ndarray:
        """(M,) int32: index of the node's pool."""
        return np.array([self._pools.index((g.vc, g.gpu_type)) for g in self.groups for _ in range(g.nodes)], np.int32)

    @cached_property
    def node_size(self) -> np.ndarray:
        """(M,) int32: GPUs of the node."""
        return np.array([g.gpus for g in self.groups for _ in range(g.nodes)], dtype=np.int32)

    @cached_property
    def gpu_node(self) -> np.ndarray:
        """(G,) int32: node of the GPU."""
        return np.repeat(np.arange(self.num_nodes, dtype=np.int32), self.node_size)

    @cached_property
    def gpu_pool(self) -> np.ndarray:
        """(G,) int32: pool of the GPU."""
        return self.node_pool[self.gpu_node]

    @cached_property
    def pool_gpus(self) -> np.ndarray:
        """(P,) int64: GPUs of each pool."""
        return np.bincount(self.gpu_pool, minlength=self.num_pools)

    @cached_property
    def type_gpus(self) -> np.ndarray:
        """(T,) int64: GPUs of each type."""
        return np.bincount(self.pool_type, weights=self.pool_gpus, minlength=self.num_types).astype(np.int64)

    @cached_property
    def type_flops(self) -> np.ndarray:
        """(T,) FLOP/s of one GPU."""
        return np.array([self.catalogue[name].flops for name in self.type_names])

    @cached_property
    def pool_flops(self) -> np.ndarray:
        """(P,) FLOP/s of one GPU of the pool."""
        return self.type_flops[self.pool_type]

    @property
    def num_types(self) -> int:
        return len(self.type_names)

    @property
    def num_pools(self) -> int:
        return len(self._pools)

    @property
    def num_nodes(self) -> int:
        return len(self.node_size)

    @property
    def num_gpus(self) -> int:
        return int(self.node_size.sum())

    def describe(self) -> str:
        """One line, such as ``8 x a100 + 4 x v100``."""
        return " + ".join(f"{n} x {name}" for name, n in zip(self.pool_names, self.pool_gpus, strict=True))
