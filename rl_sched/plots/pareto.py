"""Fairness, energy and cost against completion time: every policy with its intervals, and the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from matplotlib.ticker import FuncFormatter

from rl_sched.errors import ConfigError
from rl_sched.evaluation import statistics as st
from rl_sched.evaluation.console import seconds
from rl_sched.evaluation.scores import ALL_WORKLOADS, MEAN_JCT, RULE
from rl_sched.plots import style

#: Second objectives, all better when lower, and how an axis calls them.
TRADES = {
    "p95_finish_time_fairness": "unfairness: p95 of rho",
    "energy_kwh": "energy (kWh)",
    "gpu_cost_usd": "GPU cost ($)",
    "electricity_cost_usd": "electricity ($)",
}
MAX_PANELS = 3
#: Policies with a mean JCT beyond this many times the best one's would squeeze the others: they are named only.
CUT = 3.0


class Point(NamedTuple):
    """One policy: estimates of both objectives."""

    policy: str
    learned: bool
    x: st.Estimate
    y: st.Estimate
    front: bool  #: no other point is at least as good in both and better in one


class Data(NamedTuple):
    """One panel for each second objective."""

    panels: dict[str, list[Point]]
    title: str
    caption: str


def non_dominated(points: np.ndarray) -> np.ndarray:
    """(n,) bool: points (n, k) that no other point equals or beats everywhere and beats somewhere; lower is better."""
    no_worse = np.all(points[None, :, :] <= points[:, None, :], axis=2)  # [i, j]: j is no worse than i
    better = np.any(points[None, :, :] < points[:, None, :], axis=2)
    return ~np.any(no_worse & better, axis=1)


def _estimates(rows: pd.DataFrame, metric: str) -> dict[str, st.Estimate]:
    """Over training seeds where there are several, else over workloads; policies without a value are left out."""
    found = {}
    for name, own in rows[rows["metric"] == metric].groupby("policy", sort=False):
        by_seed = own.groupby("train_seed")["value"].agg(lambda v: float(np.mean(v.to_numpy())))
        values = by_seed.to_numpy(dtype=float)
        if not np.isfinite(values).all():
            continue
        one = len(values) == 1
        found[str(name)] = st.estimate_mean(own["value"].to_numpy(dtype=float)) if one else st.estimate(values)
    return found


def data(table: pd.DataFrame, *, title: str = "Trade-offs", metrics: Sequence[str] = tuple(TRADES)) -> Data:
    """Reads tidy rows of ONE scenario.

    Raises:
        ConfigError: No policy has a mean JCT, or no second objective is in the table.
    """
    rows = table[table["eval_seed"] != ALL_WORKLOADS]
    learned = set(rows.loc[rows["train_seed"] != RULE, "policy"])
    x = _estimates(rows, MEAN_JCT.metric)
    best = min((e.value for e in x.values()), default=float("nan"))
    far = [name for name, e in x.items() if e.value > CUT * best]
    panels: dict[str, list[Point]] = {}
    for metric in metrics:
        y = _estimates(rows, metric)
        names = [name for name in x if name in y and name not in far]
        if not names:
            continue
        front = non_dominated(np.array([(x[name].value, y[name].value) for name in names]))
        panels[metric] = [
            Point(name, name in learned, x[name], y[name], bool(on)) for name, on in zip(names, front, strict=True)
        ]
        if len(panels) == MAX_PANELS:
            break
    if not panels:
        raise ConfigError("A Pareto front needs rows with the mean JCT and a second objective; there are none.")
    replicated = sorted({e.n for name, e in x.items() if name in learned})
    n = f"n = {'/'.join(map(str, replicated))} training seeds for arms, " if replicated else ""
    workloads = rows["eval_seed"].nunique()
    text = (
        f"Ellipses: 95 % intervals of both axes; {n}n = {workloads} workloads for rules and an arm with one seed. "
        "Black rims and line: the Pareto front of the estimates, lower is better on both axes; whether two neighbours "
        "differ, the ellipses tell."
    )
    if far:
        text += f" Beyond {CUT:g} times the best mean JCT, not shown: {', '.join(map(style.label, far))}."
    return Data(panels, title, text)


def draw(figure_data: Data) -> Figure:
    """Panels side by side with common policies; the points of the front are named."""
    panels = figure_data.panels
    with mpl.rc_context(style.RC):
        figure = style.new_figure(2.2 + 3.7 * len(panels), 4.4)
        axes = figure.subplots(1, len(panels), squeeze=False)[0]
        for ax, (metric, points) in zip(axes, panels.items(), strict=True):
            for point in points:
                color = style.look(point.policy).color
                ax.add_patch(_ellipse(point, color))
                ax.plot(
                    point.x.value, point.y.value, "o" if point.learned else "s", color=color, markersize=6,
                    markeredgecolor="black" if point.front else "white", markeredgewidth=0.9, zorder=5,
                    label=style.label(point.policy),
                )  # fmt: skip
            front = sorted((p.x.value, p.y.value) for p in points if p.front)
            ax.step(*np.array(front).T, where="post", color="#444444", linewidth=0.9, zorder=1)
            ax.set_xlabel("mean JCT (s)")
            ax.set_ylabel(TRADES.get(metric, metric))
            for axis in (ax.xaxis, ax.yaxis):
                axis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right upper", fontsize=7.5)
        figure.suptitle(figure_data.title, fontsize=11)
        style.caption(figure, figure_data.caption)
    return figure


def _ellipse(point: Point, color: str) -> Ellipse:
    centre, size = [], []
    for e in (point.x, point.y):
        known = np.isfinite(e.low)
        centre.append(0.5 * (e.low + e.high) if known else e.value)
        size.append(e.high - e.low if known else 0.0)
    return Ellipse((centre[0], centre[1]), size[0], size[1], facecolor=color, alpha=0.15, linewidth=0)


def _short(value: float) -> str:
    return seconds(value) if abs(value) >= 1000 else f"{value:g}"


FIGURE = style.FigureKind(data, draw)
