"""Job completion times of single runs: the distribution over all jobs, log x."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from rl_sched.evaluation.metrics import bounded_slowdown
from rl_sched.plots import style
from rl_sched.sim.result import RunResult

#: Points of a curve; more cannot be seen.
MAX_POINTS = 2000


class Line(NamedTuple):
    """One policy: ``fraction`` of all jobs had at most this value. k points."""

    policy: str
    jct_s: np.ndarray  # (k,) ascending
    slowdown: np.ndarray  # (k,) ascending, a distribution of its own
    fraction: np.ndarray  # (k,)


class Data(NamedTuple):
    """Lines in the order of the policies."""

    lines: list[Line]
    title: str
    caption: str


def data(results: Mapping[str, RunResult], *, title: str = "Job completion times") -> Data:
    """Sorts the completion times and the bounded slowdowns; jobs that did not finish keep a curve below 100 %."""
    lines, unfinished = [], []
    for policy, result in results.items():
        done = np.isfinite(result.finish_s)
        k = int(done.sum())
        shown = np.unique(np.linspace(0, k - 1, min(k, MAX_POINTS)).astype(int)) if k else np.zeros(0, int)
        jct, slowdown = np.sort(result.jct_s[done]), np.sort(bounded_slowdown(result)[done])
        lines.append(Line(policy, jct[shown], slowdown[shown], (shown + 1) / len(done)))
        if k < len(done):
            unfinished.append(f"{policy} left {len(done) - k:,} jobs unfinished")
    n = len(next(iter(results.values())).submit_s)
    text = f"n = {n:,} jobs of one workload, one run a policy: no interval. Slowdown: time in the system over run time "
    text += f"(at least 10 s). {'; '.join(unfinished)}{'.' if unfinished else ''}"
    return Data(lines, title, text.strip())


def draw(figure_data: Data) -> Figure:
    """Completion times at the left, bounded slowdowns at the right."""
    with mpl.rc_context(style.RC):
        figure = style.new_figure(8.6, 3.9)
        left, right = figure.subplots(1, 2, sharey=True)
        for line in figure_data.lines:
            look = style.look(line.policy)
            for ax, values in ((left, line.jct_s), (right, line.slowdown)):
                ax.step(
                    values, line.fraction, where="post", color=look.color, linestyle=look.dashes,
                    label=style.label(line.policy),
                )  # fmt: skip
        for ax, name in ((left, "job completion time (s)"), (right, "bounded slowdown")):
            ax.set_xscale("log")
            ax.set_xlabel(name)
        left.set_ylim(0, 1.01)
        left.set_ylabel("jobs with at most this value")
        left.yaxis.set_major_formatter(PercentFormatter(1.0))
        left.legend(loc="upper left")
        figure.suptitle(figure_data.title, fontsize=11)
        style.caption(figure, figure_data.caption)
    return figure


FIGURE = style.FigureKind(data, draw)
