"""Trials of the alpha-beta search: both objectives, which of them form the front, and what alpha does."""

from __future__ import annotations

from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rl_sched.errors import ConfigError
from rl_sched.plots import style
from rl_sched.plots.jps_front import front

COLUMNS = ("sampler", "alpha", "beta", "samples", "cost", "unfairness")


class Data(NamedTuple):
    """n trials, in their order."""

    trials: pd.DataFrame  #: ``COLUMNS``
    on_front: np.ndarray  # (n,) bool, within each sampler's trials
    caption: str


def data(history: pd.DataFrame) -> Data:
    """Reads the history of a search.

    Raises:
        ConfigError: A column is missing, or there is no trial.
    """
    missing = [name for name in COLUMNS if name not in history.columns]
    if missing or history.empty:
        raise ConfigError(f"A history of trials needs rows and the columns {', '.join(COLUMNS)}; missing: {missing}.")
    on_front = np.zeros(len(history), np.bool_)
    for _, rows in history.reset_index(drop=True).groupby("sampler"):
        on_front[rows.index] = front(rows["cost"].to_numpy(), rows["unfairness"].to_numpy())
    counts = ", ".join(f"{name} n = {n}" for name, n in history["sampler"].value_counts(sort=False).items())
    text = f"{counts} trials; a trial is a mean over all instances. No interval: every trial is shown."
    return Data(history.reset_index(drop=True), on_front, text)


def draw(figure_data: Data) -> Figure:
    """The objectives, and the first of them against alpha."""
    d = figure_data
    with mpl.rc_context(style.RC):
        figure = style.new_figure(9.2, 4.2)
        both, alone = figure.subplots(1, 2)
        for n, (name, rows) in enumerate(d.trials.groupby("sampler", sort=False)):
            color = style.OTHERS[n]
            both.plot(rows["cost"], rows["unfairness"], ".", color=color, alpha=0.5, label=name)
            best = rows[d.on_front[rows.index]].sort_values("cost")
            both.plot(best["cost"], best["unfairness"], "-", color=color, linewidth=1.0)
            alone.plot(rows["alpha"], rows["cost"], ".", color=color, alpha=0.6)
        both.set(
            xlabel="cost: mean JCT, lower is better",
            ylabel="1 - Jain's index, lower is fairer",
            title="trials and fronts",
        )
        alone.set(xlabel="alpha", ylabel="cost", title="what alpha does")
        both.legend()
        style.caption(figure, d.caption)
    return figure


FIGURE = style.FigureKind(data, draw)
