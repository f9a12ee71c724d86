"""What gradients cost a placement, computed from the instance alone: the kernels' sums are checked against it.

Without a topology every worker has a link of its own and all jobs use the ring; ``topology`` has the other law.
"""

from __future__ import annotations

import numpy as np

from rl_sched.policies.jps.instance import Instance
from rl_sched.policies.jps.topology import Topology


def gradients_s(instance: Instance, mine: np.ndarray) -> np.ndarray:
    """(S,) time of all exchanges of gradients of each job.

    Args:
        instance: The jobs and workers.
        mine: (S, K) bool, the workers of each job; at least one.
    """
    size = mine.sum(axis=1)
    s_per_byte = np.where(mine, 1.0 / instance.link_bytes_per_s, 0.0).max(axis=1)
    t = instance.topology
    if t is None:
        return _all_s(instance, size, np.ones(len(size)), s_per_byte)
    crosses = crossing(t, mine)
    shared = np.where(crosses, crosses.sum(axis=0) / t.bytes_per_s, 0.0).max(axis=1)
    nodes = np.array([len(np.unique(t.node[row])) for row in mine])
    return _all_s(instance, size, nodes, np.maximum(s_per_byte, shared))


def crossing(topology: Topology, mine: np.ndarray) -> np.ndarray:
    """(S, N + W) bool: which shared links each job crosses, having workers on both sides."""
    inside = np.zeros((len(mine), len(topology.bytes_per_s)), np.int64)
    for level in topology.links.T:
        for link in np.unique(level):
            inside[:, link] = mine[:, level == link].sum(axis=1)
    return (inside > 0) & (inside < mine.sum(axis=1)[:, None])


def equal_share_s(instance: Instance) -> np.ndarray:
    """(S,) JCT of each job on the same share, 1 / S, of every worker; what fairness is measured by.

    All jobs then cross all links.
    """
    s, k = instance.throughput.shape
    compute_s = instance.work_samples / (instance.throughput.sum(axis=1) / s)
    if not instance.communicates:
        return compute_s
    slowest = 1.0 / instance.link_bytes_per_s.min()
    t = instance.topology
    if t is None:
        nodes = 1
    else:
        nodes = t.num_nodes
        for bandwidths in (t.node_bytes_per_s, t.switch_bytes_per_s):
            slowest = max(slowest, s / bandwidths.min() if len(bandwidths) > 1 else 0.0)
    return compute_s + _all_s(instance, np.full(s, k / s), np.full(s, nodes), np.full(s, slowest))


def _all_s(instance: Instance, size: np.ndarray, nodes: np.ndarray, s_per_byte: np.ndarray) -> np.ndarray:
    iterations = instance.work_samples / instance.batch
    if instance.topology is not None:
        return iterations * instance.topology.exchange_s(instance.traffic_bytes, size, nodes, s_per_byte)
    return iterations * 2.0 * np.maximum(size - 1, 0) / size * instance.traffic_bytes * s_per_byte
