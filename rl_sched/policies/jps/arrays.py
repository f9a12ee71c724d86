"""What kernels read: an instance in numbers near 1, with links as classes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rl_sched.policies.jps.communication import equal_share_s
from rl_sched.policies.jps.instance import Instance


class Problem(NamedTuple):
    """S jobs, K workers, L classes of links, class 0 the slowest. Throughputs of a job have mean 1 over the workers."""

    rate: np.ndarray  # (S, K) float64 throughput over the job's mean throughput
    work_s: np.ndarray  # (S,) float64 JCT on one worker of mean throughput
    sync_s: np.ndarray  # (S, L) float64 time of the gradients of all iterations; times (m - 1) / m on m workers
    link: np.ndarray  # (K,) int64 class of the worker's link
    twin: np.ndarray  # (K,) int64 equal numbers = equal workers for all jobs
    reserved: np.ndarray  # (S,) int64 worker that makes the job feasible
    equal_s: np.ndarray  # (S,) float64 JCT on an equal, fractional share of every worker
    idle: bool  # whether a worker may serve nobody
    above: np.ndarray  # (K, A) int64 links above each worker that jobs share; A = 0 without a topology
    shared_s: np.ndarray  # (S, links) float64 as ``sync_s``, of a shared link that the job has for itself
    hop_s: np.ndarray  # (S, 2) float64 latency of a step of all iterations, inside a node and between nodes
    nodes: int  # shared links that are a node's; the others are a switch's
    ring: bool  # whether gradients may go round a ring
    tree: bool  # whether they may take the tree


def problem_of(instance: Instance) -> Problem:
    """The arrays of an instance. Its relations to the instance are exact up to rounding; times are in seconds."""
    mean = instance.throughput.mean(axis=1)
    rate = instance.throughput / mean[:, None]
    work_s = instance.work_samples / mean
    s, k = rate.shape
    idle = instance.communicates
    topology = instance.topology if idle else None
    sync_s, link = np.zeros((s, 1)), np.zeros(k, np.int64)
    keys: list[object] = [0] * k  # workers of different keys are never twins
    above, shared_s, hop_s = np.zeros((k, 0), np.int64), np.zeros((s, 0)), np.zeros((s, 2))
    nodes, ring, tree = 0, True, False
    if idle:
        links, link = np.unique(instance.link_bytes_per_s, return_inverse=True)
        iterations = instance.work_samples / instance.batch
        volume_s = iterations[:, None] * 2.0 * instance.traffic_bytes[:, None]
        sync_s, keys = np.ascontiguousarray(volume_s / links[None, :]), link.tolist()
    if topology is not None:
        above, nodes, ring, tree = topology.links, topology.num_nodes, topology.ring, topology.tree
        shared_s = np.ascontiguousarray(volume_s / topology.bytes_per_s[None, :])
        latency_s = np.array([topology.inside_s, topology.between_s])
        hop_s = np.where(instance.traffic_bytes > 0, iterations, 0.0)[:, None] * latency_s
        keys = list(zip(keys, topology.node.tolist(), strict=True))
        equal_s = equal_share_s(instance)
    else:
        share = k / s  # workers of an equal share
        equal_s = work_s / share + sync_s[:, 0] * max(0.0, 1.0 - 1.0 / share)
    columns: dict[tuple[bytes, object], int] = {}
    alike = [columns.setdefault(key, len(columns)) for key in zip(map(bytes, rate.T.copy()), keys, strict=True)]
    return Problem(
        rate, work_s, sync_s, link, np.array(alike), instance.reserved, equal_s, idle,
        above, shared_s, hop_s, nodes, ring, tree,
    )  # fmt: skip
