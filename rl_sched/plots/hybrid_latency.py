"""Latencies of tasks that strategies split between CPU and GPU: distribution, and boxes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from rl_sched.plots import style

#: Points of a curve; more cannot be seen.
MAX_POINTS = 2000
BOX_PERCENTILES = (5, 25, 50, 75, 95)


class Line(NamedTuple):
    """One strategy: ``fraction`` of all tasks took at most so long. k points."""

    strategy: str
    latency_s: np.ndarray  # (k,) ascending
    fraction: np.ndarray  # (k,)


class CdfData(NamedTuple):
    """Lines in the order of the strategies."""

    lines: list[Line]
    title: str
    caption: str


class Box(NamedTuple):
    """One strategy, in seconds."""

    strategy: str
    percentiles_s: np.ndarray  # (5,) see BOX_PERCENTILES
    p99_s: float
    mean_s: float


class BoxData(NamedTuple):
    """Boxes, the smallest mean first."""

    boxes: list[Box]
    title: str
    caption: str


def _caption(latency_s: Mapping[str, np.ndarray], more: str) -> str:
    n = len(next(iter(latency_s.values())))
    return f"n = {n:,} tasks, the same for all strategies, one run each: no interval. {more}"


def cdf_data(latency_s: Mapping[str, np.ndarray], *, title: str = "Latency of tasks") -> CdfData:
    """Sorts the latencies (n,) of each strategy."""
    lines = []
    for strategy, values in latency_s.items():
        n = len(values)
        shown = np.unique(np.linspace(0, n - 1, min(n, MAX_POINTS)).astype(int))
        lines.append(Line(strategy, np.sort(values)[shown], (shown + 1) / n))
    return CdfData(lines, title, _caption(latency_s, "Latency: from a task's arrival to its finish."))


def box_data(latency_s: Mapping[str, np.ndarray], *, title: str = "Latency of tasks") -> BoxData:
    """Percentiles and means of the latencies (n,) of each strategy."""
    boxes = [
        Box(strategy, np.percentile(v, BOX_PERCENTILES), float(np.percentile(v, 99)), float(v.mean()))
        for strategy, v in latency_s.items()
    ]
    text = "Box: quartiles and median; whiskers: 5 % and 95 %; tick: 99 %; diamond: mean."
    return BoxData(sorted(boxes, key=lambda box: box.mean_s), title, _caption(latency_s, text))


def _seconds(value: float, _: object) -> str:
    return f"{value:g}"


def draw_cdf(figure_data: CdfData) -> Figure:
    """All tasks at the left, the slowest tenth at the right."""
    with mpl.rc_context(style.RC):
        figure = style.new_figure(8.6, 4.1)
        whole, tail = figure.subplots(1, 2, width_ratios=[1.5, 1.0])
        for line in figure_data.lines:
            look = style.look(line.strategy)
            for ax in (whole, tail):
                ax.step(
                    line.latency_s, line.fraction, where="post", color=look.color, linestyle=look.dashes,
                    label=style.label(line.strategy),
                )  # fmt: skip
        for ax in (whole, tail):
            ax.set_xscale("log")
            ax.xaxis.set_major_formatter(FuncFormatter(_seconds))
            ax.yaxis.set_major_formatter(PercentFormatter(1.0))
            ax.set_xlabel("latency (s)")
        whole.set_ylim(0, 1.01)
        whole.set_ylabel("tasks with at most this latency")
        whole.set_title("all tasks")
        whole.legend(loc="lower right")
        tail.set_ylim(0.9, 1.001)
        tail.set_xlim(left=min(line.latency_s[np.searchsorted(line.fraction, 0.9)] for line in figure_data.lines))
        tail.set_title("the slowest tenth")
        figure.suptitle(figure_data.title, fontsize=11)
        style.caption(figure, figure_data.caption)
    return figure


def draw_box(figure_data: BoxData) -> Figure:
    """A row per strategy, log x."""
    boxes = figure_data.boxes[::-1]
    with mpl.rc_context(style.RC):
        figure = style.new_figure(8.6, 1.6 + 0.38 * len(boxes))
        ax = figure.subplots()
        for row, box in enumerate(boxes):
            low, q1, median, q3, high = box.percentiles_s
            color = style.look(box.strategy).color
            ax.plot([low, high], [row, row], color=color, linewidth=1.4)
            ax.barh(row, q3 - q1, left=q1, height=0.56, color=color, alpha=0.35, edgecolor=color, linewidth=1.2)
            ax.plot([median, median], [row - 0.28, row + 0.28], color=color, linewidth=2.2)
            ax.plot(box.p99_s, row, marker="|", markersize=9, markeredgewidth=1.6, color=color)
            ax.plot(box.mean_s, row, marker="D", markersize=5, color=color, markeredgecolor="white")
            ax.annotate(f"{box.mean_s:.3g} s", (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize=8)
        ax.set_yticks(range(len(boxes)), [style.label(box.strategy) for box in boxes])
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(FuncFormatter(_seconds))
        ax.grid(axis="y", visible=False)
        ax.set_xlabel("latency (s); mean at the right")
        ax.set_title(figure_data.title, fontsize=11)
        style.caption(figure, figure_data.caption)
    return figure


CDF = style.FigureKind(cdf_data, draw_cdf)
BOX = style.FigureKind(box_data, draw_box)
