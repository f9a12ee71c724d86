"""Which hyperparameters matter: the share of the objective's spread that each explains, with its own spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from rl_sched.errors import ConfigError
from rl_sched.evaluation.comparison import display
from rl_sched.evaluation.material import Importance, Searched
from rl_sched.plots import style

COLOR = "#0072B2"


class Data(NamedTuple):
    """One panel for each search."""

    panels: dict[str, list[Importance]]
    title: str
    caption: str


def data(searches: Sequence[Searched], *, title: str = "Importance of the hyperparameters") -> Data:
    """The searches of ONE scenario that have importances, the most important hyperparameter first.

    Raises:
        ConfigError: There is none.
    """
    found = [s for s in searches if s.importance]
    if not found:
        raise ConfigError("Importances need a search with enough configurations trained in full; there is none.")
    panels = {display(s.arm): sorted(s.importance, key=lambda i: -i.share) for s in found}
    counts = sorted({len(s.configurations) for s in found})
    n = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    text = f"n = {n} configurations trained with the full budget; stopped ones do not enter. {found[0].method}."
    return Data(panels, title, text)


def draw(figure_data: Data) -> Figure:
    """Bars with intervals, panels below each other."""
    panels = figure_data.panels
    rows = [len(found) for found in panels.values()]
    with mpl.rc_context(style.RC):
        figure = style.new_figure(6.8, 1.3 + sum(0.55 + 0.3 * k for k in rows))
        axes = figure.subplots(len(panels), 1, squeeze=False, sharex=True, height_ratios=[k + 0.8 for k in rows])[:, 0]
        for ax, (arm, found) in zip(axes, panels.items(), strict=True):
            share = [i.share for i in found]
            below, above = ([i.share - i.low for i in found], [i.high - i.share for i in found])
            ax.barh(
                range(len(found)), share, 0.62, color=COLOR, alpha=0.8, xerr=[below, above],
                error_kw={"ecolor": "#333333", "elinewidth": 1.2, "capsize": 2.5},
            )  # fmt: skip
            ax.set_yticks(range(len(found)), [i.param for i in found])
            ax.set_ylim(len(found) - 0.4, -0.6)
            ax.set_xlim(0, 1.0)
            ax.grid(axis="y", visible=False)
            ax.xaxis.set_major_formatter(PercentFormatter(1.0))
            if len(panels) > 1:
                ax.set_title(arm, fontsize=9, loc="left")
        axes[-1].set_xlabel("share of the variance explained")
        figure.suptitle(figure_data.title, fontsize=11)
        style.caption(figure, figure_data.caption)
    return figure


FIGURE = style.FigureKind(data, draw)
