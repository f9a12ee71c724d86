"""A list of machines as a ``ClusterSpec``: nodes of equal type and size make a group."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rl_sched.cluster import GPU_TYPES, MAX_GPUS_PER_NODE, ClusterSpec, GpuType, NodeGroup
from rl_sched.errors import TraceError
from rl_sched.traces.reading import Table, bad_cell, whole


def cluster_of(table: Table, type_column: str, gpus_column: str, types: Sequence[GpuType]) -> ClusterSpec:
    """The machines with GPUs, grouped and sorted by type (in lower case) and size.

    Args:
        table: One row a machine.
        type_column: Name of its GPU type.
        gpus_column: Its GPUs; 0: the machine is left out.
        types: GPU types beside those that the project knows.

    Raises:
        TraceError: A type is unknown, a machine has too many GPUs, or none has any.
    """
    known = {**GPU_TYPES, **{kind.name: kind for kind in types}}
    names = [text.lower() for text in table.column(type_column, str.strip, "text")]
    counts = table.column(gpus_column, whole, "a whole number >= 0")
    nodes: Counter[tuple[str, int]] = Counter()
    for name, gpus, line in zip(names, counts, table.lines, strict=True):
        if gpus and name not in known:
            raise bad_cell(table.path, line, type_column, f"one of {', '.join(known)} (in any case)", name)
        if gpus > MAX_GPUS_PER_NODE:
            raise bad_cell(table.path, line, gpus_column, f"at most {MAX_GPUS_PER_NODE}", gpus)
        if gpus:
            nodes[name, gpus] += 1
    if not nodes:
        raise TraceError(f"{table.path}: a cluster needs a machine with GPUs; this list has none.")
    groups = tuple(NodeGroup(name, count, gpus) for (name, gpus), count in sorted(nodes.items()))
    return ClusterSpec(groups, tuple(kind for kind in types if any(kind.name == name for name, _ in nodes)))
