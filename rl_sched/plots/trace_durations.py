"""How long the jobs of a trace run: distribution over jobs, and over the work that they bring."""

from __future__ import annotations

from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

from rl_sched.plots import style
from rl_sched.workload import Workload

#: Units of the time axis and the ticks in them, the round ones and, for a short axis, more.
UNITS = (("ms", 0.001), ("s", 1.0), ("min", 60.0), ("h", 3600.0), ("d", 86_400.0))
ROUND = {"ms": (1, 10, 100), "s": (1, 10), "min": (1, 10), "h": (1, 10), "d": (1, 10, 100, 1000)}
FINE = {
    "ms": (1, 2, 5, 10, 20, 50, 100, 200, 500), "s": (1, 2, 5, 10, 30), "min": (1, 2, 5, 10, 30),
    "h": (1, 2, 5, 12), "d": (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000),
}  # fmt: skip
MIN_TICKS = 4  # of the round ones, or else the fine ones are taken
MARKED = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
#: Where the shortest jobs, up to this share, are that many times shorter than all others, the axis leaves them out.
FEW, MUCH_SHORTER = 0.002, 30.0


class Data(NamedTuple):
    """n jobs in order of run time."""

    duration_s: np.ndarray  # (n,) ascending
    job_frac: np.ndarray  # (n,) of the jobs that run so long at most
    work_frac: np.ndarray  # (n,) of the GPU-hours that these bring
    marks: dict[str, float]  # quantile -> seconds; the shortest run time with at least that share of the jobs
    title: str
    caption: str


def data(jobs: Workload, *, title: str = "Run times") -> Data:
    """Sorts the run times at speed 1."""
    order = np.argsort(jobs.duration_s, kind="stable")
    duration = jobs.duration_s[order]
    work = np.cumsum(duration * jobs.gpu_demand[order])
    n = len(jobs)
    marks = {name: float(np.quantile(duration, level, method="inverted_cdf")) for name, level in MARKED.items()}
    caption = (
        f"n = {n:,} jobs; run time at speed 1. Work: share of all GPU-hours that lies in jobs running so long at most."
    )
    return Data(duration, np.arange(1, n + 1) / n, work / work[-1], marks, title, caption)


def draw(figure_data: Data) -> Figure:
    """Both distributions over a logarithmic time axis; quantiles of the jobs are marked."""
    shortest, longest = figure_data.duration_s[[0, -1]]
    usual = float(np.quantile(figure_data.duration_s, FEW, method="inverted_cdf"))
    left = (usual if usual > MUCH_SHORTER * shortest else shortest) / 1.3
    right = longest * 1.3
    with mpl.rc_context(style.RC):
        figure = style.new_figure(7.4, 4.0)
        ax = figure.subplots()
        # The curves begin at 0 and end at 1, on the edges of the figure.
        x = np.concatenate([[shortest / 1.3], figure_data.duration_s, [right]])
        for frac, color, dashes, label in (
            (figure_data.job_frac, "#0072B2", style.SOLID, "jobs"),
            (figure_data.work_frac, "#D55E00", style.DASHED, "work (GPU-hours)"),
        ):
            ax.step(x, np.concatenate([[0.0], frac, [1.0]]), where="post", color=color, linestyle=dashes, label=label)
        for name, value in figure_data.marks.items():
            level = MARKED[name]
            ax.plot(value, level, "o", color="#0072B2", markersize=4.5, markeredgecolor="white", zorder=5)
            ax.annotate(
                name, (value, level), xytext=(-6, 4), textcoords="offset points", ha="right", fontsize=8,
                color="#0072B2",
            )  # fmt: skip
        ax.set_xscale("log")
        ax.set_xlim(left, right)
        ticks = _ticks(left, right)
        ax.xaxis.set_major_locator(FixedLocator(list(ticks)))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: ticks.get(value, "")))
        ax.set_ylim(0, 1.04)
        ax.yaxis.set_major_formatter(PercentFormatter(1.0))
        ax.set_xlabel("run time")
        ax.set_ylabel("share with at most this run time")
        ax.set_title(figure_data.title)
        ax.legend(loc="upper left")
        style.caption(figure, figure_data.caption)
    return figure


def _ticks(left_s: float, right_s: float) -> dict[float, str]:
    """Position and label of the ticks between two times; on an axis that none of them meets, its ends."""
    for table in (ROUND, FINE):
        every = {count * unit_s: f"{count} {unit}" for unit, unit_s in UNITS for count in table[unit]}
        ticks = {at: label for at, label in every.items() if left_s <= at <= right_s}
        if len(ticks) >= MIN_TICKS:
            break
    return ticks or {end: f"{end:.3g} s" for end in (left_s, right_s)}


FIGURE = style.FigureKind(data, draw)
