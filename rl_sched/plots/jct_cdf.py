"""Distribution of job completion times of a few policies, with the tail enlarged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, PercentFormatter

from rl_sched.errors import ConfigError
from rl_sched.evaluation.protocol import CDF_METRIC
from rl_sched.evaluation.scores import ALL_WORKLOADS, RULE
from rl_sched.plots import style

TAIL = (0.95, 0.99)


class Line(NamedTuple):
    """One policy: fraction of jobs finished within ``jct_s`` seconds, k grid points."""

    policy: str
    jct_s: np.ndarray  # (k,)
    fraction: np.ndarray  # (k,)
    num_seeds: int  #: training seeds averaged (0 for a rule)


class Data(NamedTuple):
    """Lines, the first one drawn on top."""

    lines: list[Line]
    title: str
    caption: str


def data(table: pd.DataFrame, policies: Sequence[str], *, title: str = "Job completion times") -> Data:
    """Reads the distributions from tidy rows of ONE scenario (``jct_cdf_frac@...s``), averaged over training seeds.

    Raises:
        ConfigError: A policy has no distribution in the table.
    """
    rows = table[(table["eval_seed"] == ALL_WORKLOADS) & table["metric"].str.startswith(CDF_METRIC)]
    episodes = int(table.loc[table["eval_seed"] != ALL_WORKLOADS, "eval_seed"].nunique())
    lines = []
    for policy in policies:
        own = rows[rows["policy"] == policy]
        if own.empty:
            raise ConfigError(f"The results hold no distribution of completion times for policy {policy!r}.")
        x = own["metric"].str.slice(len(CDF_METRIC), -1).astype(float)
        grid = own.assign(x=x).pivot(index="x", columns="train_seed", values="value").sort_index()
        # Left of a seed's grid nothing has finished; right of it everything has that ever will.
        fraction = grid.ffill().fillna(0.0).mean(axis=1)
        seeds = [s for s in grid.columns if s != RULE]
        lines.append(Line(policy, grid.index.to_numpy(dtype=float), fraction.to_numpy(dtype=float), len(seeds)))
    counts = sorted({line.num_seeds for line in lines if line.num_seeds})
    n = f"; learned policies averaged over {'/'.join(map(str, counts))} training seed(s)" if counts else ""
    text = f"All jobs of the same {episodes} workloads{n}. No interval: the curve of the pooled jobs."
    return Data(lines, title, text)


def draw(figure_data: Data) -> Figure:
    """The whole distribution with a logarithmic time axis, and the tail from p95 to p99 beside it."""
    with mpl.rc_context(style.RC):
        figure = style.new_figure(8.6, 4.3)
        whole, tail = figure.subplots(1, 2, width_ratios=[1.7, 1.0])
        for order, line in enumerate(figure_data.lines):
            look = style.look(line.policy)
            for ax in (whole, tail):
                ax.plot(
                    line.jct_s, line.fraction, color=look.color, linestyle=look.dashes,
                    label=style.label(line.policy), zorder=20 - order,
                )  # fmt: skip
        ends = [x for line in figure_data.lines for x in (_at(line, 0.01), _at(line, 0.9995)) if np.isfinite(x)]
        whole.set_xscale("log")
        whole.set_xlim(min(ends), max(ends))
        whole.set_ylim(0, 1.01)
        whole.set_xlabel("job completion time (s)")
        whole.set_ylabel("jobs finished")
        whole.yaxis.set_major_formatter(PercentFormatter(1.0))
        whole.set_title("all jobs")
        whole.legend(loc="lower right")
        inside = [_at(line, f) for line in figure_data.lines for f in TAIL]
        inside = sorted(x for x in inside if np.isfinite(x))
        tail.set_xscale("log")
        if inside:
            tail.set_xlim(inside[0] * 0.95, inside[-1] * 1.05)
        tail.set_ylim(*TAIL)
        tail.set_xlabel("job completion time (s)")
        tail.set_yticks([0.95, 0.96, 0.97, 0.98, 0.99])
        tail.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        tail.set_title("the tail: p95 to p99")
        for ax in (whole, tail):
            _times(ax)
        figure.suptitle(figure_data.title, fontsize=11)
        style.caption(figure, figure_data.caption)
    return figure


def _times(ax: mpl.axes.Axes) -> None:
    """Plain numbers on a logarithmic time axis, few enough to be read."""
    low, high = ax.get_xlim()
    steps = (1.0,) if high > 1000 * low else (1.0, 3.0) if high > 30 * low else (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
    ax.xaxis.set_major_locator(LogLocator(subs=steps, numticks=20))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _at(line: Line, fraction: float) -> float:
    """The time by which this fraction of the jobs has finished; nan if they never do."""
    reached = np.flatnonzero(line.fraction >= fraction)
    return float(line.jct_s[reached[0]]) if reached.size else float("nan")


FIGURE = style.FigureKind(data, draw)
