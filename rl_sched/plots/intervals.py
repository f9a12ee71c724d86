"""Forest plot of a scenario: every policy's mean JCT with its interval and its training seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from rl_sched.errors import ConfigError
from rl_sched.evaluation.comparison import Row
from rl_sched.evaluation.console import seconds
from rl_sched.evaluation.scores import MEAN_JCT, Objective
from rl_sched.plots import style

#: Policies that lie this many times further behind the best than the median policy does are only marked by an arrow:
#: a strict FIFO would squeeze everything else.
CUT = 5.0


class Bar(NamedTuple):
    """One policy."""

    policy: str
    learned: bool
    value: float  #: of the objective
    low: float
    high: float
    seeds: tuple[float, ...]  #: score of each training seed


class Data(NamedTuple):
    """Bars, best first, and the policies drawn as vertical lines."""

    bars: list[Bar]
    lines: dict[str, float]
    objective: Objective
    title: str
    caption: str


def data(
    rows: Sequence[Row],
    *,
    lines: Sequence[str] = (),
    captions: Sequence[str] = (),
    objective: Objective = MEAN_JCT,
    title: str = "Policies",
) -> Data:
    """The rows of a compared table; those without a score (unfinished jobs) are named in the caption.

    Raises:
        ConfigError: No row has a score.
    """
    scored = [r for r in rows if np.isfinite(r.score.value)]
    if not scored:
        raise ConfigError("A forest plot needs at least one policy that finished all jobs; there is none.")
    bars = [
        Bar(r.name, r.learned, r.score.value, r.score.low, r.score.high, tuple(r.seed_scores.values())) for r in scored
    ]
    bars.sort(key=lambda b: objective.sign * b.value)
    at = {b.policy: b.value for b in bars}
    without = [style.label(r.name) for r in rows if r not in scored]
    text = [*captions, *([f"Without a score (unfinished jobs): {', '.join(without)}."] if without else [])]
    return Data(bars, {name: at[name] for name in lines if name in at}, objective, title, " ".join(text))


def draw(figure_data: Data) -> Figure:
    """Points with intervals, best at the top; small dots are training seeds; an arrow marks what lies outside."""
    bars = figure_data.bars
    with mpl.rc_context(style.RC):
        figure = style.new_figure(7.6, 1.3 + 0.32 * len(bars) + 0.0012 * len(figure_data.caption))
        ax = figure.subplots()
        sign = figure_data.objective.sign
        behind = sign * (np.array([b.value for b in bars]) - bars[0].value)
        inside = behind <= CUT * max(float(np.median(behind)), 0.02 * abs(bars[0].value))
        shown = [x for b, ok in zip(bars, inside, strict=True) if ok for x in (b.value, b.low, b.high, *b.seeds)]
        finite = np.array(shown)[np.isfinite(shown)]
        left, right = float(finite.min()), float(finite.max())
        span = max(right - left, 1e-3 * abs(right))
        room = 0.06 * span, (0.06 if inside.all() else 0.16) * span
        left, right = (left - room[0], right + room[1]) if sign > 0 else (left - room[1], right + room[0])
        worst = right if sign > 0 else left
        for y, (bar, ok) in enumerate(zip(bars, inside, strict=True)):
            color = style.look(bar.policy).color
            if not ok:
                ax.annotate(
                    seconds(bar.value), (worst, y), xytext=(worst - sign * 0.07 * span, y), va="center",
                    ha="right" if sign > 0 else "left", fontsize=8, color=color,
                    arrowprops={"arrowstyle": "->", "color": color},
                )  # fmt: skip
                continue
            if np.isfinite(bar.low):
                ax.plot([bar.low, bar.high], [y, y], color=color, linewidth=2.2, solid_capstyle="butt")
            ax.plot(
                bar.value, y, "o" if bar.learned else "s", color=color, markersize=6.5 if bar.learned else 5.5,
                markeredgecolor="white", markeredgewidth=0.8, zorder=5,
            )  # fmt: skip
            if bar.learned and len(bar.seeds) > 1:
                ax.plot(bar.seeds, np.full(len(bar.seeds), y + 0.28), ".", color=color, markersize=3.5, alpha=0.8)
        for name, value in figure_data.lines.items():
            look = style.look(name)
            ax.axvline(value, color=look.color, linestyle=look.dashes, linewidth=0.9, alpha=0.7, zorder=1)
        ax.set_yticks(range(len(bars)), [style.label(b.policy) for b in bars])
        for tick, bar in zip(ax.get_yticklabels(), bars, strict=True):
            tick.set_fontweight("bold" if bar.learned else "normal")
        ax.set_ylim(len(bars) - 0.4, -0.7)
        ax.set_xlim(left, right)
        ax.grid(axis="y", visible=False)
        better = "lower" if figure_data.objective.lower_is_better else "higher"
        ax.set_xlabel(f"{figure_data.objective.title}, {better} is better")
        ax.set_title(figure_data.title)
        style.caption(figure, figure_data.caption)
    return figure


FIGURE = style.FigureKind(data, draw)
