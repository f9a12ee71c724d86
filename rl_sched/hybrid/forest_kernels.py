"""Trees in arrays, compiled."""

from __future__ import annotations

from rl_sched.sim.jit import kernel


@kernel
def predict(nodes, x, out):
    """Writes the mean of all trees for every row.

    Args:
        nodes: (trees, most nodes) ``forest.NODE``; the root of a tree comes first, a leaf has ``left`` = -1.
        x: (k, F) float32: trees compare in this precision.
        out: Output (k,).
    """
    trees = nodes.shape[0]
    for row in range(len(x)):
        total = 0.0
        for tree in range(trees):
            at = 0
            while nodes[tree, at].left >= 0:
                node = nodes[tree, at]
                at = node.left if x[row, node.feature] <= node.threshold else node.right
            total += nodes[tree, at].value
        out[row] = total / trees
