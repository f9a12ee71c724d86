"""Performance profile: the share of runs that come within a factor of the best rule on the same workload."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from rl_sched.errors import ConfigError
from rl_sched.evaluation.aggregates import Profile, performance_profile
from rl_sched.evaluation.scores import ALL_WORKLOADS, MEAN_JCT, RULE
from rl_sched.plots import style

POINTS = 121
#: Policies that are further behind than this are cut off.
MOST = 2.5


class Line(NamedTuple):
    """One policy."""

    policy: str
    profile: Profile


class Data(NamedTuple):
    """Lines over common thresholds, the first one drawn on top."""

    factors: np.ndarray  # (k,)
    lines: list[Line]
    reference: str
    title: str
    caption: str


def data(table: pd.DataFrame, policies: Sequence[str], reference: str, *, title: str = "Performance profile") -> Data:
    """Ratios of mean JCTs to those of a reference policy on the same workloads, from tidy rows of ONE scenario.

    Raises:
        ConfigError: A policy has no mean JCT in the table.
    """
    rows = table[(table["metric"] == MEAN_JCT.metric) & (table["eval_seed"] != ALL_WORKLOADS)]
    grids = {}
    for name in dict.fromkeys((*policies, reference)):
        own = rows[rows["policy"] == name]
        if own.empty:
            raise ConfigError(f"The results hold no mean JCT of policy {name!r}.")
        grids[name] = own.pivot(index="train_seed", columns="eval_seed", values="value")
    base = grids[reference].mean(axis=0)
    ratios = {name: (grids[name] / base).to_numpy(dtype=float) for name in policies}
    known = np.concatenate([values[np.isfinite(values)] for values in ratios.values()])
    top = min(float(np.quantile(known, 0.995)), MOST) if known.size else MOST
    factors = np.linspace(min(float(known.min()), 1.0) if known.size else 1.0, max(top, 1.05), POINTS)
    lines = [Line(name, performance_profile(values, factors)) for name, values in ratios.items()]
    seeds = sorted({line.profile.n for line in lines if RULE not in grids[line.policy].index})
    learned = f"; n = {'/'.join(map(str, seeds))} training seeds, bands: 95 % bootstrap over them" if seeds else ""
    text = (
        f"Of all runs on the same {len(base)} workloads, the share whose mean JCT is at most x times that of "
        f"{reference} on the same workload{learned}. n = {len(base)} workloads for a rule, without a band."
    )
    return Data(factors, lines, reference, title, text)


def draw(figure_data: Data) -> Figure:
    """Higher is better."""
    with mpl.rc_context(style.RC):
        figure = style.new_figure(7.2, 4.6)
        ax = figure.subplots()
        for order, (policy, profile) in enumerate(figure_data.lines):
            look = style.look(policy)
            ax.plot(
                figure_data.factors, profile.share, color=look.color, linestyle=look.dashes, label=style.label(policy),
                zorder=20 - order,
            )  # fmt: skip
            if np.isfinite(profile.low).all():
                ax.fill_between(
                    figure_data.factors, profile.low, profile.high, color=look.color, alpha=0.13, linewidth=0
                )
        ax.axvline(1.0, color="#444444", linewidth=0.9, linestyle=":")
        ax.set_xlim(figure_data.factors[0], figure_data.factors[-1])
        ax.set_ylim(0, 1.01)
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g} x"))
        ax.yaxis.set_major_formatter(PercentFormatter(1.0))
        ax.set_xlabel(f"mean JCT over that of {figure_data.reference}")
        ax.set_ylabel("share of runs within it")
        ax.set_title(figure_data.title)
        ax.legend(loc="lower right")
        style.caption(figure, figure_data.caption)
    return figure


FIGURE = style.FigureKind(data, draw)
