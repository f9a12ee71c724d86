"""A random forest as plain arrays: grown by scikit-learn, asked by a compiled loop, kept without pickle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rl_sched.errors import ConfigError
from rl_sched.hybrid.forest_kernels import predict

NODE = np.dtype([("threshold", "f8"), ("value", "f8"), ("feature", "i4"), ("left", "i4"), ("right", "i4")], align=True)


@dataclass(frozen=True, slots=True)
class ForestSettings:
    """How a forest is grown and kept fresh; the depth and the split are those of the ``hybrid`` system.

    Raises:
        ConfigError: A number is out of range.
    """

    trees: int = 20
    max_depth: int = 15
    min_split: int = 5
    rows: int = 5_000  # that it is first grown on
    held_out_frac: float = 0.2  # of them, to judge it by
    window: int = 2_000  # latest rows that new trees are grown on
    every: int = 50  # tasks between two retrainings
    renewed: int = 1  # oldest trees that a retraining replaces

    def __post_init__(self) -> None:
        for name in ("trees", "max_depth", "rows", "window", "every", "renewed"):
            if getattr(self, name) < 1:
                raise ConfigError(f"The forest needs {name} of at least 1; it is {getattr(self, name)}.")
        if self.min_split < 2:
            raise ConfigError(f"The forest needs min_split of at least 2; it is {self.min_split}.")
        if not 0.0 <= self.held_out_frac < 1.0:
            raise ConfigError(f"The forest needs held_out_frac in [0, 1); it is {self.held_out_frac}.")
        if self.renewed > self.trees:
            raise ConfigError(f"A retraining can replace at most all {self.trees} trees; renewed is {self.renewed}.")


@dataclass(frozen=True, slots=True)
class Scaler:
    """Takes off the mean and divides by the standard deviation, per column (F,)."""

    mean: NDArray[np.float64]
    std: NDArray[np.float64]

    @classmethod
    def fit(cls, x: NDArray[np.float64]) -> Scaler:
        """The scaler of some rows; a constant column keeps its unit."""
        std = x.std(axis=0)
        return cls(x.mean(axis=0), np.where(std > 0.0, std, 1.0))

    def __call__(self, x: NDArray[np.float64]) -> NDArray[np.float32]:
        return ((x - self.mean) / self.std).astype(np.float32)


class Report(NamedTuple):
    """How good a forest is on rows that it was not grown on."""

    held_out: int
    r2: float  #: share of the variance of the best fraction that it explains
    mean_error: float  #: mean absolute error of the fraction
    importances: NDArray[np.float64]  #: (F,) of the features


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees and the scaler of what they are asked.

    Attributes:
        scaler: Fitted on the rows that the forest was first grown on.
        nodes: (trees, most nodes) ``NODE``.
        report: How good it was when it was first grown.
    """

    scaler: Scaler
    nodes: np.ndarray
    report: Report

    def predict(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """(k,) fractions for (k, F) features."""
        return ask(self.nodes, self.scaler(x))

    def renewed(self, new: np.ndarray) -> Forest:
        """The forest with its oldest trees, which come first, replaced by new ones."""
        kept = self.nodes[len(new) :]
        return replace(self, nodes=_stacked([*kept, *new]))

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything, for a file."""
        report = {f"report_{name}": np.asarray(value) for name, value in self.report._asdict().items()}
        return {"nodes": self.nodes, "mean": self.scaler.mean, "std": self.scaler.std, **report}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Forest:
        """What ``arrays`` gave.

        Raises:
            KeyError, ValueError: Something is missing, or the trees point outside themselves.
        """
        report = Report(
            int(arrays["report_held_out"]), float(arrays["report_r2"]), float(arrays["report_mean_error"]),
            arrays["report_importances"],
        )  # fmt: skip
        forest = cls(Scaler(arrays["mean"], arrays["std"]), arrays["nodes"], report)
        forest._check()
        return forest

    def _check(self) -> None:
        # A kernel follows these indices without looking: a bad file must not make it read elsewhere.
        nodes, width = self.nodes, len(self.scaler.mean)
        if nodes.dtype != NODE or nodes.ndim != 2 or nodes.size == 0:
            raise ValueError("its trees have another form")
        inner = nodes["left"] >= 0
        here = np.arange(nodes.shape[1])[None, :]
        sound = ~inner | ((nodes["feature"] >= 0) & (nodes["feature"] < width))
        for side in (nodes["left"], nodes["right"]):
            sound &= ~inner | ((side > here) & (side < nodes.shape[1]))
        if not sound.all():
            raise ValueError("its trees point outside themselves")


def ask(nodes: np.ndarray, x: NDArray[np.float32]) -> NDArray[np.float64]:
    """(k,) the mean of trees (``NODE``) for (k, F) scaled features."""
    out = np.empty(len(x))
    predict(nodes, x, out)
    return out


def grow(
    x: NDArray[np.float32],
    y: NDArray[np.float64],
    weight: NDArray[np.float64],
    settings: ForestSettings,
    trees: int,
    seed: int,
) -> tuple[np.ndarray, NDArray[np.float64]]:
    """Grows trees.

    Args:
        x: (k, F) scaled features.
        y: (k,) targets.
        weight: (k,) what an error in a row costs.
        settings: Depth and split.
        trees: How many.
        seed: Of the draws of rows.

    Returns:
        ``NODE`` (trees, most nodes), and importances (F,).
    """
    from sklearn.ensemble import RandomForestRegressor

    model = RandomForestRegressor(
        trees, max_depth=settings.max_depth, min_samples_split=settings.min_split, random_state=seed
    )
    model.fit(x, y, sample_weight=weight)
    return _stacked([_tree(t.tree_) for t in model.estimators_]), model.feature_importances_


def _tree(tree: Any) -> np.ndarray:
    nodes = np.zeros(tree.node_count, NODE)
    nodes["threshold"], nodes["value"] = tree.threshold, tree.value[:, 0, 0]
    nodes["feature"], nodes["left"], nodes["right"] = tree.feature, tree.children_left, tree.children_right
    return nodes


def _stacked(trees: Sequence[np.ndarray]) -> np.ndarray:
    most = max(len(tree) for tree in trees)
    out = np.zeros((len(trees), most), NODE)
    out["left"] = out["right"] = -1
    for row, tree in zip(out, trees, strict=True):
        row[: len(tree)] = tree
    return out
