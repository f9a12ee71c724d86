"""Forest plot of an ablation: the paired difference of every arm to the reference arm, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from rl_sched.errors import ConfigError
from rl_sched.evaluation.comparison import Row, display
from rl_sched.evaluation.scores import MEAN_JCT, Objective
from rl_sched.plots import style


class Effect(NamedTuple):
    """One arm against the reference, in percent of the reference's score."""

    arm: str
    value: float
    low: float  #: nan without an interval
    high: float
    p_adjusted: float
    verdict: str  #: its first word: better, worse, equal or inconclusive


class Data(NamedTuple):
    """Arms, best first."""

    effects: list[Effect]
    reference: str
    objective: Objective
    title: str
    caption: str


def data(
    rows: Sequence[Row], reference: str, *, objective: Objective = MEAN_JCT, title: str = "Against the reference"
) -> Data:
    """The learned rows of a table that was compared with ``reference``.

    Raises:
        ConfigError: No row was.
    """
    found = [(r.name, r.versus[reference]) for r in rows if r.learned and reference in r.versus]
    if not found:
        raise ConfigError(f"A forest plot needs at least one arm that was compared with {reference!r}; there is none.")
    effects = [
        Effect(name, *c.difference_pct[:3], p_adjusted=c.p_adjusted, verdict=c.verdict.split()[0]) for name, c in found
    ]
    effects.sort(key=lambda e: objective.sign * e.value)
    counts = sorted({c.difference_pct.n for _, c in found})
    n = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    methods = "; ".join(dict.fromkeys(c.difference_pct.method for _, c in found))
    text = (
        f"Paired differences, in % of the reference's {objective.name}; n = {n} {found[0][1].over}; {methods}. "
        "Hollow: the interval holds zero. p: sign-flip permutation, Holm-adjusted over the arms."
    )
    return Data(effects, reference, objective, title, text)


def draw(figure_data: Data) -> Figure:
    """Best at the top; to the right of each interval its adjusted p-value."""
    effects = figure_data.effects
    with mpl.rc_context(style.RC):
        figure = style.new_figure(7.6, 1.5 + 0.34 * len(effects))
        ax = figure.subplots()
        ax.axvline(0.0, color="#444444", linewidth=1.0)
        shown = np.array([x for e in effects for x in (e.value, e.low, e.high, 0.0)])
        left, right = np.nanmin(shown), np.nanmax(shown)
        room = max(right - left, 1e-3)
        ax.set_xlim(left - 0.05 * room, right + 0.2 * room)
        for y, effect in enumerate(effects):
            color = style.look(effect.arm).color
            if np.isfinite(effect.low):
                ax.plot([effect.low, effect.high], [y, y], color=color, linewidth=2.2, solid_capstyle="butt")
            told = effect.verdict in ("better", "worse")
            ax.plot(
                effect.value, y, "o", color=color, markersize=7, markerfacecolor=color if told else "white",
                markeredgewidth=1.6, zorder=5,
            )  # fmt: skip
            if np.isfinite(effect.p_adjusted):
                ax.annotate(
                    f"p = {effect.p_adjusted:.2g}", (1.0, y), xycoords=("axes fraction", "data"), ha="right",
                    va="center", fontsize=7.5, color="#444444",
                )  # fmt: skip
        ax.set_yticks(range(len(effects)), [style.label(e.arm) for e in effects])
        ax.set_ylim(len(effects) - 0.4, -0.6)
        ax.grid(axis="y", visible=False)
        better = "left" if figure_data.objective.lower_is_better else "right"
        ax.set_xlabel(f"{figure_data.objective.name} against {display(figure_data.reference)}, %; {better} is better")
        ax.set_title(figure_data.title)
        style.caption(figure, figure_data.caption)
    return figure


FIGURE = style.FigureKind(data, draw)
