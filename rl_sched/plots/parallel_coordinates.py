"""Parallel coordinates of a search: each configuration a line through its hyperparameters to what it reached."""

from __future__ import annotations

from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rl_sched.errors import ConfigError
from rl_sched.evaluation.comparison import display
from rl_sched.evaluation.console import seconds
from rl_sched.evaluation.material import Searched
from rl_sched.evaluation.scores import MEAN_JCT, Objective
from rl_sched.plots import style

#: The best are drawn on top, and thicker.
MARKED = 3


class Axis(NamedTuple):
    """One vertical axis."""

    name: str
    at: np.ndarray  # (n,) 0 (bottom) to 1
    ticks: list[tuple[float, str]]  #: height, text


class Data(NamedTuple):
    """n configurations."""

    axes: list[Axis]
    rank: np.ndarray  # (n,) 0 = best
    title: str
    caption: str


def _axis(name: str, values: pd.Series, log: bool = False) -> Axis:
    if values.dtype == object or values.dtype == bool or isinstance(values.dtype, pd.StringDtype):
        levels = sorted(map(str, values.unique()))
        step = 1.0 / max(len(levels) - 1, 1)
        height = {level: i * step if len(levels) > 1 else 0.5 for i, level in enumerate(levels)}
        return Axis(name, np.array([height[str(v)] for v in values]), [(y, level) for level, y in height.items()])
    x = values.to_numpy(dtype=float)
    scale = np.log(x) if log else x
    low, high = scale.min(), scale.max()
    at = np.full(len(x), 0.5) if high == low else (scale - low) / (high - low)
    marks = np.array([0.5]) if high == low else np.linspace(0, 1, 5)
    shown = low + marks * (high - low)
    texts = [f"{np.exp(v) if log else v:.3g}" for v in shown]
    return Axis(name, at, list(zip(marks.tolist(), texts, strict=True)))


def data(search: Searched, *, objective: Objective = MEAN_JCT, title: str = "Configurations") -> Data:
    """One search.

    Raises:
        ConfigError: No configuration was trained in full.
    """
    table = search.configurations
    if table.empty:
        raise ConfigError("Parallel coordinates need a configuration trained in full; there is none.")
    axes = [_axis(param, table[param], param in search.log) for param in search.params]
    value = _axis(f"VAL {objective.title}", objective.sign * table["value"])
    cost = table["value"].to_numpy(dtype=float)
    value = value._replace(ticks=[(y, seconds(float(text))) for y, text in value.ticks])
    rank = np.argsort(np.argsort(cost, kind="stable"), kind="stable")
    text = (
        f"{display(search.arm)}: n = {len(table)} configurations trained with the full budget, their means over "
        f"training seeds on VAL; stopped ones do not enter. Dark: better; the best {min(MARKED, len(table))} are thick."
    )
    return Data([*axes, value], rank, title, text)


def draw(figure_data: Data) -> Figure:
    """Hyperparameters from left to right, the score at the right."""
    axes, rank = figure_data.axes, figure_data.rank
    k, n = len(axes), len(rank)
    with mpl.rc_context(style.RC):
        figure = style.new_figure(max(6.4, 1.5 + 1.45 * k), 4.4)
        ax = figure.subplots()
        colors = mpl.colormaps["viridis"](0.92 * rank / max(n - 1, 1))
        lines = np.stack([axis.at for axis in axes], axis=1)
        for i in np.argsort(-rank):
            best = rank[i] < MARKED
            ax.plot(range(k), lines[i], color=colors[i], linewidth=2.4 if best else 1.0, alpha=0.95 if best else 0.55)
        for x, axis in enumerate(axes):
            ax.axvline(x, color="#444444", linewidth=0.8)
            for y, text in axis.ticks:
                ax.annotate(
                    text, (x, y), xytext=(4, 0), textcoords="offset points", fontsize=7, va="center",
                    bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.75},
                )  # fmt: skip
        ax.set_xticks(range(k), [axis.name for axis in axes], fontsize=8)
        ax.set_xlim(-0.15, k - 1 + 0.45)
        ax.set_ylim(-0.04, 1.04)
        ax.set_yticks([])
        ax.grid(visible=False)
        for side in ("left", "bottom"):
            ax.spines[side].set_visible(False)
        ax.set_title(figure_data.title)
        style.caption(figure, figure_data.caption)
    return figure


FIGURE = style.FigureKind(data, draw)
