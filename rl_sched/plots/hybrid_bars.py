"""One number per strategy that splits tasks between CPU and GPU: cost, energy, makespan, speed-up."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from rl_sched.plots import style


class Quantity(NamedTuple):
    """What is compared."""

    title: str
    axis: str
    parts: tuple[str, ...]  #: of which a bar is made; one part has no name
    smaller_is_better: bool
    meaning: str


class Data(NamedTuple):
    """Bars, the best first. s strategies, p parts."""

    quantity: Quantity
    strategies: list[str]
    values: np.ndarray  # (s, p)
    title: str
    caption: str


QUANTITIES = {
    "cost": Quantity(
        title="Cost",
        axis="cost (US$)",
        parts=("",),
        smaller_is_better=True,
        meaning="Cost: seconds of work of each device times its price.",
    ),
    "energy": Quantity(
        title="Energy",
        axis="energy (kJ)",
        parts=("at work", "idle"),
        smaller_is_better=True,
        meaning="Energy: seconds of work of each device times its power, and idle power until the last finish.",
    ),
    "makespan": Quantity(
        title="Makespan",
        axis="makespan (s)",
        parts=("",),
        smaller_is_better=True,
        meaning="Makespan: from the first arrival to the last finish.",
    ),
    "speedup": Quantity(
        title="Speed-up",
        axis="speed-up over CPU only",
        parts=("",),
        smaller_is_better=False,
        meaning="Speed-up: sum of latencies of CPU only over that of a strategy.",
    ),
}


def data(quantity: str, values: Mapping[str, tuple[float, ...]], *, tasks: int) -> Data:
    """Sorts the strategies.

    Args:
        quantity: A name of ``QUANTITIES``.
        values: Per strategy a number for each part, in the unit of the axis.
        tasks: How many tasks each has run.
    """
    what = QUANTITIES[quantity]
    order = sorted(values, key=lambda name: sum(values[name]), reverse=not what.smaller_is_better)
    caption = f"n = {tasks:,} tasks, the same for all strategies, one run each: no interval. {what.meaning}"
    return Data(what, order, np.array([values[name] for name in order], dtype=float), what.title, caption)


def draw(figure_data: Data) -> Figure:
    """A bar per strategy, with its number; the parts of a bar differ in shade."""
    what, values = figure_data.quantity, figure_data.values
    total = values.sum(axis=1)
    rows = np.arange(len(total))[::-1]
    with mpl.rc_context(style.RC):
        figure = style.new_figure(7.6, 1.6 + 0.36 * len(total))
        ax = figure.subplots()
        colors = [style.look(name).color for name in figure_data.strategies]
        left = np.zeros(len(total))
        for part, name in enumerate(what.parts):
            shade = 1.0 - 0.6 * part
            ax.barh(rows, values[:, part], left=left, height=0.66, color=colors, alpha=shade)
            if name:  # grey: the legend is about shades, not about one strategy's colour
                ax.barh([0], [0], color="#555555", alpha=shade, label=name)
            left += values[:, part]
        for row, value in zip(rows, total, strict=True):
            ax.annotate(
                f"{value:.4g}", (value, row), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8
            )
        ax.set_yticks(rows, [style.label(name) for name in figure_data.strategies])
        ax.set_xlim(0, 1.12 * total.max())
        ax.grid(axis="y", visible=False)
        ax.set_xlabel(what.axis)
        ax.set_title(figure_data.title, fontsize=11)
        if len(what.parts) > 1:
            figure.legend(loc="outside right upper")
        style.caption(figure, figure_data.caption)
    return figure


COST = style.FigureKind(functools.partial(data, "cost"), draw)
ENERGY = style.FigureKind(functools.partial(data, "energy"), draw)
MAKESPAN = style.FigureKind(functools.partial(data, "makespan"), draw)
SPEEDUP = style.FigureKind(functools.partial(data, "speedup"), draw)
