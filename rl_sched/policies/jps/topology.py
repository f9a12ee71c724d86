"""Workers in nodes, nodes under switches: which links a job's gradients cross, and what they cost there.

A worker's own link (``Instance.link_bytes_per_s``) is never shared. A node's link to its switch, and a switch's link to
the core, carry every job that has workers on both of its sides. A job visits its switches, and in them its nodes, one
after the other, so that its ring or tree crosses each such link once in each direction.

    sharing   the n jobs that cross a link of B bytes/s get B / n each, for as long as they run; a job goes at the
              slowest rate of all its links (equal shares: Wang et al., 2020; Yu et al., MobiHoc 2022)
    ring      2 (m - 1) / m D bytes at that rate, and 2 (m - N) steps inside nodes, 2 (N - 1) between them
    tree      2 D bytes, and 2 (m / N - 1) steps inside, 2 ceil(log2 N) between (two binary trees, each with half of the
              bytes: Sanders, Speck and Traeff, 2009)

for m workers on N nodes and D bytes of gradients: the cost model by which NCCL chooses between the two. Equal shares
are what makes the law simple: more load never helps anybody, and a job's time follows from counts of jobs. Max-min
fairness would give a link's unused rest to others, at most; there, one more job can make another one faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rl_sched.errors import PlacementError


@dataclass(frozen=True, slots=True, eq=False)
class Topology:
    """K workers in N nodes under W switches. Use ``Topology.build``, which validates."""

    node: np.ndarray  # (K,) int64 node of each worker
    switch: np.ndarray  # (N,) int64 switch of each node
    node_bytes_per_s: np.ndarray  # (N,) float64 > 0 of a node's link to its switch, each way; inf = free
    switch_bytes_per_s: np.ndarray  # (W,) float64 > 0 of a switch's link to the core, each way; inf = free
    ring: bool  #: jobs may use the ring
    tree: bool  #: jobs may use the tree; with both, each takes the faster one
    inside_s: float  #: latency of a step inside a node
    between_s: float  #: latency of a step between nodes

    @classmethod
    def build(
        cls,
        node_sizes: Sequence[int],
        switch_sizes: Sequence[int],
        node_bytes_per_s: object,
        switch_bytes_per_s: object = np.inf,
        *,
        ring: bool = True,
        tree: bool = False,
        inside_s: float = 0.0,
        between_s: float = 0.0,
    ) -> Topology:
        """Makes a topology, workers and nodes numbered in turn.

        Args:
            node_sizes: Workers of each node.
            switch_sizes: Nodes under each switch.
            node_bytes_per_s: Of each node's link, or one number for all.
            switch_bytes_per_s: Of each switch's link to the core, or one number for all.
            ring: See ``Topology``.
            tree: See ``Topology``.
            inside_s: See ``Topology``.
            between_s: See ``Topology``.

        Raises:
            PlacementError: A size or a number makes no sense.
        """
        if not node_sizes or min(node_sizes) < 1 or not switch_sizes or min(switch_sizes) < 1:
            raise PlacementError("Every node needs a worker and every switch a node; some has none.")
        if sum(switch_sizes) != len(node_sizes):
            raise PlacementError(
                f"switch_sizes must share out all nodes; they sum up to {sum(switch_sizes)} and there are "
                f"{len(node_sizes)} nodes."
            )
        to_node = np.broadcast_to(np.asarray(node_bytes_per_s, np.float64), (len(node_sizes),)).copy()
        to_core = np.broadcast_to(np.asarray(switch_bytes_per_s, np.float64), (len(switch_sizes),)).copy()
        if not ((to_node > 0).all() and (to_core > 0).all() and 0 <= inside_s < np.inf and 0 <= between_s < np.inf):
            raise PlacementError("Bandwidths must be > 0 and latencies >= 0 and finite; some is not.")
        if not (ring or tree):
            raise PlacementError("A topology must allow the ring, the tree or both; it allows neither.")
        node = np.repeat(np.arange(len(node_sizes)), node_sizes)
        switch = np.repeat(np.arange(len(switch_sizes)), switch_sizes)
        return cls(node, switch, to_node, to_core, ring, tree, float(inside_s), float(between_s))

    @property
    def num_workers(self) -> int:
        return len(self.node)

    @property
    def num_nodes(self) -> int:
        return len(self.switch)

    @property
    def bytes_per_s(self) -> np.ndarray:
        """(N + W,) of every shared link: first those of the nodes, then those of the switches."""
        return np.concatenate([self.node_bytes_per_s, self.switch_bytes_per_s])

    @property
    def links(self) -> np.ndarray:
        """(K, 2) int64: the shared links above each worker, its node's and its switch's, as rows of ``bytes_per_s``."""
        return np.stack([self.node, self.num_nodes + self.switch[self.node]], axis=1)

    @property
    def is_free(self) -> bool:
        """Whether no link between nodes ever costs anything."""
        return bool(np.isinf(self.bytes_per_s).all() and self.inside_s == self.between_s == 0)

    def exchange_s(
        self, traffic_bytes: np.ndarray, size: np.ndarray, nodes: np.ndarray, s_per_byte: np.ndarray
    ) -> np.ndarray:
        """(S,) time of one exchange of gradients.

        Args:
            traffic_bytes: (S,) D of each job.
            size: (S,) workers; may be a fraction.
            nodes: (S,) nodes that they lie on.
            s_per_byte: (S,) of the slowest link, as it is shared.
        """
        m, n = np.maximum(size, 1.0), np.minimum(nodes, np.maximum(size, 1.0))
        full_s = 2.0 * traffic_bytes * s_per_byte
        times = []
        if self.ring:
            times.append(full_s * (m - 1) / m + 2 * (m - n) * self.inside_s + 2 * (n - 1) * self.between_s)
        if self.tree:
            times.append(full_s + 2 * (m / n - 1) * self.inside_s + 2 * np.ceil(np.log2(n)) * self.between_s)
        return np.where((size > 1) & (traffic_bytes > 0), np.minimum.reduce(times), 0.0)
