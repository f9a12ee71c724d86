"""The trade-off between mean JCT and fairness: placements of many preferences, and the front of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from rl_sched.plots import style
from rl_sched.policies.jps.instance import Instance
from rl_sched.policies.jps.placement import place


class Data(NamedTuple):
    """B preferences."""

    betas: tuple[float, ...]
    above: np.ndarray  # (B,) mean JCT above the bound, per cent
    above_error: np.ndarray  # (B,) half a 95 % interval
    unfair: np.ndarray  # (B,) 1 - Jain's index
    unfair_error: np.ndarray  # (B,)
    on_front: np.ndarray  # (B,) bool: no other is better in both
    caption: str


def data(instances: Sequence[Instance], betas: Sequence[float], *, samples: int = 40) -> Data:
    """Places every instance under every preference."""
    found = [[place(i, 0.0, beta, samples, n) for n, i in enumerate(instances)] for beta in betas]
    above = 100.0 * np.array([[p.gap for p in row] for row in found])
    unfair = 1.0 - np.array([[p.fairness for p in row] for row in found])
    mean, other = above.mean(axis=1), unfair.mean(axis=1)
    text = (
        f"n = {len(instances)} instances a point, N = {samples}; bars: 95 % normal intervals of the means. The points "
        "share instances, so that they differ by less than the bars suggest."
    )
    return Data(tuple(betas), mean, _half(above), other, _half(unfair), front(mean, other), text)


def front(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(n,) bool: points that no other point beats in one and equals or beats in the other; less is better."""
    no_worse = (first[:, None] <= first) & (second[:, None] <= second)
    better = (first[:, None] < first) | (second[:, None] < second)
    return np.asarray(~(no_worse & better).any(axis=0))


def _half(values: np.ndarray) -> np.ndarray:
    """Half the 95 % interval of the mean of each row."""
    n = values.shape[1]
    return 1.96 * values.std(axis=1, ddof=1) / np.sqrt(n) if n > 1 else np.full(len(values), np.nan)


def draw(figure_data: Data) -> Figure:
    """Points with bars, the front as a line."""
    d = figure_data
    with mpl.rc_context(style.RC):
        figure = style.new_figure(6.4, 4.4)
        ax = figure.subplots()
        ax.errorbar(d.above, d.unfair, xerr=d.above_error, yerr=d.unfair_error, fmt="none", ecolor="#BBBBBB", zorder=1)
        order = np.flatnonzero(d.on_front)[np.argsort(d.above[d.on_front])]
        ax.plot(d.above[order], d.unfair[order], "-", color="#0072B2", label="front", zorder=2)
        points = ax.scatter(d.above, d.unfair, c=d.betas, cmap="plasma", s=36, zorder=3)
        figure.colorbar(points, ax=ax, label="beta")
        ax.set_xlabel("mean JCT above the bound (%), lower is better")
        ax.set_ylabel("1 - Jain's index, lower is fairer")
        ax.set_title("Fairness against JCT")
        ax.legend()
        style.caption(figure, d.caption)
    return figure


FIGURE = style.FigureKind(data, draw)
