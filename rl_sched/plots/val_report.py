"""VAL against REPORT: does the score that checkpoints were chosen by hold on workloads that chose nothing?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from scipy import stats

from rl_sched.errors import ConfigError
from rl_sched.evaluation.console import seconds
from rl_sched.evaluation.material import TrainedRun
from rl_sched.evaluation.scores import MEAN_JCT, Objective
from rl_sched.plots import style


class Data(NamedTuple):
    """Runs with both scores."""

    runs: list[TrainedRun]
    rank_correlation: float  #: Spearman's; nan with fewer than three runs
    objective: Objective
    title: str
    caption: str


def data(runs: Sequence[TrainedRun], *, objective: Objective = MEAN_JCT, title: str = "VAL against REPORT") -> Data:
    """The runs of ONE scenario; those without one of the scores are left out and counted in the caption.

    Raises:
        ConfigError: No run has both scores.
    """
    both = [r for r in runs if np.isfinite([r.val, r.report]).all()]
    if not both:
        raise ConfigError("VAL against REPORT needs a training run with both scores; there is none.")
    x, y = np.array([(r.val, r.report) for r in both]).T
    varied = len(both) > 2 and np.ptp(x) > 0 and np.ptp(y) > 0
    rank = float(stats.spearmanr(x, y).statistic) if varied else float("nan")
    gap = 100 * float(np.mean((y - x) / np.abs(x)))
    text = (
        f"n = {len(both)} training runs, best checkpoints; no interval. On average REPORT is {gap:+.1f} % against VAL"
    )
    text += f"; Spearman's rank correlation {rank:.2f}." if np.isfinite(rank) else "."
    if len(both) < len(runs):
        text += f" {len(runs) - len(both)} runs without a score are left out."
    return Data(both, rank, objective, title, text)


def draw(figure_data: Data) -> Figure:
    """On the dotted line both are equal."""
    with mpl.rc_context(style.RC):
        figure = style.new_figure(6.4, 4.9)
        ax = figure.subplots()
        for arm in dict.fromkeys(r.arm for r in figure_data.runs):
            own = [r for r in figure_data.runs if r.arm == arm]
            ax.plot(
                [r.val for r in own], [r.report for r in own], "o", color=style.look(arm).color, markersize=6,
                markeredgecolor="white", markeredgewidth=0.6, label=style.label(arm), alpha=0.9,
            )  # fmt: skip
        every = [v for r in figure_data.runs for v in (r.val, r.report)]
        room = 0.04 * (max(every) - min(every)) or 0.01 * abs(max(every)) or 1.0
        limits = (min(every) - room, max(every) + room)
        ax.plot(limits, limits, linestyle=":", color="#444444", linewidth=1.0, zorder=1)
        ax.set_xlim(limits)
        ax.set_ylim(limits)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _: seconds(value) if value >= 1000 else f"{value:g}"))
        ax.set_xlabel(f"VAL {figure_data.objective.title}")
        ax.set_ylabel(f"REPORT {figure_data.objective.title}")
        ax.set_title(figure_data.title)
        figure.legend(loc="outside right upper", fontsize=7.5)
        style.caption(figure, figure_data.caption)
    return figure


FIGURE = style.FigureKind(data, draw)
