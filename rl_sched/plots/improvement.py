"""Probability of improvement: how often a training run of an arm is better than one of another policy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from rl_sched.errors import ConfigError
from rl_sched.evaluation import statistics as st
from rl_sched.evaluation.aggregates import improvement
from rl_sched.evaluation.comparison import Row, display
from rl_sched.evaluation.scores import MEAN_JCT, Objective
from rl_sched.plots import style


class Chance(NamedTuple):
    """One arm against another policy."""

    arm: str
    other: str
    chance: st.Estimate


class Data(NamedTuple):
    """One panel for each other policy."""

    arms: list[str]  #: from top to bottom
    panels: dict[str, list[Chance]]
    title: str
    caption: str


def data(
    rows: Sequence[Row],
    others: Sequence[str],
    *,
    objective: Objective = MEAN_JCT,
    title: str = "Probability of improvement",
) -> Data:
    """Every learned row with several training seeds against each of ``others``.

    Raises:
        ConfigError: No learned row has two training seeds with a score, or none of the others has one.
    """
    scored = {r.name: r for r in rows if np.isfinite(list(r.seed_scores.values())).all()}
    arms = [r for r in scored.values() if r.learned and len(r.seed_scores) > 1]
    if not any(name in scored and a.name != name for name in others for a in arms):
        raise ConfigError("P(improvement) needs an arm with at least two training seeds, and a policy to compare with.")

    def cost(row: Row) -> np.ndarray:
        return objective.sign * np.array(list(row.seed_scores.values()))

    panels = {
        name: [Chance(a.name, name, improvement(cost(a), cost(scored[name]))) for a in arms if a.name != name]
        for name in others
        if name in scored
    }
    panels = {name: found for name, found in panels.items() if found}
    method = next(iter(panels.values()))[0].chance.method
    counts = sorted({len(a.seed_scores) for a in arms})
    n = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    text = (
        f"P(a training run of the arm has a better {objective.name} than one of the other policy), over all pairs; "
        f"n = {n} training seeds; {method}. A rule is one "
        "run. Where every run is on one side the interval has no width, however few runs there are."
    )
    return Data([a.name for a in arms], panels, title, text)


def draw(figure_data: Data) -> Figure:
    """One panel beside the other, arms in the order of the table."""
    arms, panels = figure_data.arms, figure_data.panels
    with mpl.rc_context(style.RC):
        figure = style.new_figure(max(6.4, 2.2 + 2.9 * len(panels)), 1.7 + 0.3 * len(arms))
        axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        for ax, (other, chances) in zip(axes, panels.items(), strict=True):
            ax.axvline(0.5, color="#444444", linewidth=0.9, linestyle=":")
            for arm, _, chance in chances:
                y, color = arms.index(arm), style.look(arm).color
                ax.plot([chance.low, chance.high], [y, y], color=color, linewidth=2.2, solid_capstyle="butt")
                ax.plot(chance.value, y, "o", color=color, markersize=6.5, markeredgecolor="white", zorder=5)
            ax.set_yticks(range(len(arms)), [style.label(arm) for arm in arms])
            ax.set_ylim(len(arms) - 0.4, -0.6)
            ax.set_xlim(-0.03, 1.03)
            ax.grid(axis="y", visible=False)
            ax.set_xlabel("P(arm is better)")
            ax.set_title(f"against {display(other)}")
        figure.suptitle(figure_data.title, fontsize=11)
        style.caption(figure, figure_data.caption)
    return figure


FIGURE = style.FigureKind(data, draw)
