"""Draws from many weights that change: a binary tree of sums (Schaul et al., 2016, appendix B.2.1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class SumTree:
    """Non-negative weights of ``size`` leaves; setting and drawing k of them costs O(k log size).

    Every inner node is the sum of its two children exactly as added, so the tree depends on the leaves alone, not on
    the order of changes.
    """

    def __init__(self, size: int) -> None:
        self._leaves = 1 << max(1, (size - 1).bit_length())
        self._tree = np.zeros(2 * self._leaves)
        self.size = size

    @property
    def total(self) -> float:
        """Sum of all weights."""
        return float(self._tree[1])

    @property
    def weights(self) -> Floats:
        """(size,) view of the leaves; to be changed by ``set`` only."""
        return self._tree[self._leaves : self._leaves + self.size]

    def set(self, index: Ints, weights: Floats) -> None:
        """Gives leaves ``index`` (k,) new weights (k,); of an index that is there twice the last counts."""
        nodes = index + self._leaves
        self._tree[nodes] = weights
        while nodes.size and nodes[0] > 1:
            nodes = np.unique(nodes >> 1)
            self._tree[nodes] = self._tree[2 * nodes] + self._tree[2 * nodes + 1]

    def draw(self, count: int, rng: np.random.Generator) -> Ints:
        """(count,) leaves with probability proportional to weight, one from each of ``count`` equal parts of the sum.

        Args:
            count: How many; a leaf may come several times.
            rng: Source of randomness.
        """
        assert self.total > 0, "Nothing to draw from."
        left_over = (np.arange(count) + rng.random(count)) * (self.total / count)
        node = np.ones(count, np.int64)
        while node[0] < self._leaves:
            node = 2 * node
            left = self._tree[node]
            # Rounding may leave a rest for an empty right half: then the left one.
            right = (left_over >= left) & (self._tree[node + 1] > 0)
            left_over = np.where(right, left_over - left, np.minimum(left_over, left))
            node = node + right
        return node - self._leaves
