"""Synthetic instances: the generator of the earlier implementation, and the families that stress a solver.

Throughput = base of the worker's type x factor of the job x noise of the pair; types take turns over the workers.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from rl_sched.errors import ConfigError
from rl_sched.policies.jps.instance import BATCH, Instance
from rl_sched.policies.jps.topology import Topology
from rl_sched.registry import did_you_mean

#: Samples/s of a job of factor 1.
TYPE_THROUGHPUT = {"t4": 300.0, "p100": 700.0, "v100": 1500.0, "h100": 2500.0}
TYPES = ("t4", "p100", "v100")
FAMILIES = ("base", "wide_noise", "affinity", "wide_weights", "identical", "equal")
#: Work of the earlier implementation: samples of every job, and epochs in turns.
SAMPLES, EPOCHS = 1e5, (10.0, 8.0, 12.0, 6.0)
#: Gb/s of links; 1 Gb/s = 1.25e8 bytes/s.
LINKS_GBPS = (10.0, 25.0, 100.0)
#: The same of a worker's own link inside a node: PCIe 4.0 with 16 lanes.
INSIDE_GBPS = 200.0
GBPS = 1.25e8


def generate(
    family: str,
    num_jobs: int,
    num_workers: int,
    seed: int,
    *,
    communication: bool = False,
    types: Sequence[str] = TYPES,
    topology: Topology | None = None,
) -> Instance:
    """Draws an instance.

    Args:
        family: One of ``FAMILIES``: ``base`` (noise within 10 %), ``wide_noise`` (within 50 %), ``affinity`` (every job
            likes other types), ``wide_weights`` (work over three orders of magnitude), ``identical`` (workers of a type
            are alike), ``equal`` (all workers are alike).
        num_jobs: S.
        num_workers: K.
        seed: Of all draws. Even seeds use the earlier implementation's work and links by type; odd ones draw both.
        communication: Whether gradients of 10 to 400 MB cross links of 10 to 100 Gb/s.
        types: Names of ``TYPE_THROUGHPUT``, in turns.
        topology: If given, the workers of a node are of one type, nodes take turns, and gradients of 10 to 400 MB cross
            its links; a worker's own link has ``INSIDE_GBPS``.

    Raises:
        ConfigError: The family or a type is unknown.
        PlacementError: There are fewer workers than jobs.
    """
    if family not in FAMILIES:
        raise ConfigError(f"Unknown family {family!r}. {did_you_mean(family, FAMILIES)}")
    for name in types:
        if name not in TYPE_THROUGHPUT:
            raise ConfigError(f"Unknown worker type {name!r}. {did_you_mean(name, TYPE_THROUGHPUT)}")
    rng = np.random.default_rng(seed)
    kind = (np.arange(num_workers) if topology is None else topology.node) % len(types)
    base = np.array([TYPE_THROUGHPUT[name] for name in types])[kind]
    factor = rng.uniform(0.8, 1.6, (num_jobs, 1))
    shape = (num_jobs, num_workers)
    if family == "wide_noise":
        noise = rng.uniform(0.5, 1.5, shape)
    elif family == "affinity":
        noise = np.exp(rng.uniform(np.log(0.4), np.log(1.6), (num_jobs, len(types))))[:, kind]
    elif family in ("identical", "equal"):
        noise = np.ones(shape)
    else:
        noise = rng.uniform(0.9, 1.1, shape)
    if family == "equal":
        base = np.full(num_workers, base.mean())
    throughput = np.floor(base * factor * noise)
    if family == "wide_weights":
        work = np.exp(rng.uniform(np.log(1e4), np.log(1e7), num_jobs))
    elif seed % 2 == 0:
        work = SAMPLES * np.resize(EPOCHS, num_jobs)
    else:
        work = np.exp(rng.uniform(np.log(3e4), np.log(3e5), num_jobs)) * rng.integers(5, 16, num_jobs)
    if not communication and topology is None:
        return Instance.build(throughput, work)
    traffic = np.exp(rng.uniform(np.log(1e7), np.log(4e8), num_jobs))
    if topology is not None:
        return Instance.build(throughput, work, traffic, GBPS * INSIDE_GBPS, BATCH, topology)
    turns = kind % len(LINKS_GBPS) if seed % 2 == 0 else rng.integers(0, len(LINKS_GBPS), num_workers)
    return Instance.build(throughput, work, traffic, GBPS * np.array(LINKS_GBPS)[turns], BATCH)


def two_levels(
    nodes: int, node_size: int, gbps: float, *, nodes_per_switch: int = 2, oversubscribed: float = 2.0
) -> Topology:
    """Equal nodes under switches whose links to the core are too narrow for all their nodes by a factor.

    Args:
        nodes: N; the last switch may have fewer.
        node_size: Workers of each.
        gbps: Gb/s of a node's link.
        nodes_per_switch: Nodes under a switch.
        oversubscribed: The factor.
    """
    sizes = [min(nodes_per_switch, nodes - first) for first in range(0, nodes, nodes_per_switch)]
    to_core = GBPS * gbps * np.array(sizes) / oversubscribed
    return Topology.build([node_size] * nodes, sizes, GBPS * gbps, to_core)


def earlier_instance(seed: int, num_jobs: int = 4, num_workers: int = 15) -> Instance:
    """The instance that the earlier implementation drew from this seed, number for number, without its traffic."""
    rng = random.Random(seed)
    throughput = np.zeros((num_jobs, num_workers))
    for job in range(num_jobs):
        factor = rng.uniform(0.8, 1.6)
        for worker in range(num_workers):
            base = TYPE_THROUGHPUT[TYPES[worker % len(TYPES)]]
            throughput[job, worker] = int(base * factor * rng.uniform(0.9, 1.1))
    return Instance.build(throughput, SAMPLES * np.resize(EPOCHS, num_jobs))
