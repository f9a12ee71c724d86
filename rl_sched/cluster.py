"""What the hardware is: GPU types, nodes, clusters. Immutable."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rl_sched.errors import ConfigError
from rl_sched.registry import did_you_mean

#: A node's free GPUs are one 64-bit mask.
MAX_GPUS_PER_NODE = 64


@dataclass(frozen=True)
class GpuType:
    """One model of GPU.

    ``flops`` is the peak single-precision rate (FLOP/s) used as the relative speed of a job that has no
    throughput table; ``memory_gb`` in GB; ``idle_w`` and ``busy_w`` in watts; ``price_per_h`` in $ per GPU-hour.
    """

    name: str
    flops: float
    memory_gb: float
    idle_w: float
    busy_w: float
    price_per_h: float


# Vendor data sheets (peak FP32 without tensor cores, board power); prices are typical on-demand list prices.
GPU_TYPES: dict[str, GpuType] = {
    t.name: t
    for t in (
        GpuType("gpu", 1.0e13, 16, 30, 250, 1.00),  # a nameless GPU, for logs that do not tell the model
        GpuType("k80", 4.1e12, 12, 30, 150, 0.45),
        GpuType("p100", 9.5e12, 16, 30, 250, 1.46),
        GpuType("t4", 8.1e12, 16, 10, 70, 0.35),
        GpuType("v100", 1.57e13, 32, 40, 300, 2.48),
        GpuType("a100", 1.95e13, 80, 50, 400, 3.67),
        GpuType("h100", 6.7e13, 80, 70, 700, 6.98),
    )
}


@dataclass(frozen=True)
class NodeGroup:
    """``num_nodes`` equal nodes with ``gpus_per_node`` GPUs of one type."""

    gpu_type: str
    num_nodes: int
    gpus_per_node: int


@dataclass(frozen=True)
class ClusterSpec:
    """A cluster: node groups in order. GPU and node numbers follow that order.

    Shapes below: T types, M nodes, G GPUs.

    Raises:
        ConfigError: A GPU type is unknown, a count is not positive, or a node has more than 64 GPUs.
    """

    groups: tuple[NodeGroup, ...]

    def __post_init__(self) -> None:
        if not self.groups:
            raise ConfigError("A cluster needs at least one group of nodes; none was given.")
        for group in self.groups:
            if group.gpu_type not in GPU_TYPES:
                raise ConfigError(f"Unknown GPU type {group.gpu_type!r}. {did_you_mean(group.gpu_type, GPU_TYPES)}")
            if group.num_nodes < 1 or not 1 <= group.gpus_per_node <= MAX_GPUS_PER_NODE:
                raise ConfigError(
                    f"A node group needs num_nodes >= 1 and 1 <= gpus_per_node <= {MAX_GPUS_PER_NODE}; "
                    f"got num_nodes={group.num_nodes}, gpus_per_node={group.gpus_per_node}."
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

    @cached_property
    def type_names(self) -> tuple[str, ...]:
        """(T,) names in order of first appearance."""
        return tuple(dict.fromkeys(g.gpu_type for g in self.groups))

    @cached_property
    def node_type(self) -> np.ndarray:
        """(M,) int32: index of the node's GPU type."""
        return np.array(
            [self.type_names.index(g.gpu_type) for g in self.groups for _ in range(g.num_nodes)], dtype=np.int32
        )

    @cached_property
    def node_size(self) -> np.ndarray:
        """(M,) int32: GPUs of the node."""
        return np.array([g.gpus_per_node for g in self.groups for _ in range(g.num_nodes)], dtype=np.int32)

    @cached_property
    def gpu_node(self) -> np.ndarray:
        """(G,) int32: node of the GPU."""
        return np.repeat(np.arange(self.num_nodes, dtype=np.int32), self.node_size)

    @cached_property
    def gpu_type(self) -> np.ndarray:
        """(G,) int32: type index of the GPU."""
        return self.node_type[self.gpu_node]

    @cached_property
    def type_gpus(self) -> np.ndarray:
        """(T,) int64: GPUs of each type."""
        return np.bincount(self.gpu_type, minlength=self.num_types)

    @cached_property
    def type_flops(self) -> np.ndarray:
        """(T,) FLOP/s of one GPU."""
        return np.array([GPU_TYPES[name].flops for name in self.type_names])

    @property
    def num_types(self) -> int:
        return len(self.type_names)

    @property
    def num_nodes(self) -> int:
        return len(self.node_type)

    @property
    def num_gpus(self) -> int:
        return int(self.node_size.sum())

    def describe(self) -> str:
        """One line, such as ``8 x a100 + 4 x v100``."""
        return " + ".join(f"{n} x {name}" for name, n in zip(self.type_names, self.type_gpus, strict=True))
