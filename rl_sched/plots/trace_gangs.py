"""How many GPUs the jobs of a trace ask for: share of the jobs, and of the work that they bring."""

from __future__ import annotations

import math
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from rl_sched.plots import style
from rl_sched.workload import Workload

#: Upper bounds of the bins of shares of one GPU; above, bins end at powers of two.
SHARES = (0.25, 0.5, 0.75)
BAR = 0.4  # width, of the distance of two bins


class Data(NamedTuple):
    """k bins of GPU demand, in order."""

    labels: tuple[str, ...]  # k
    job_frac: np.ndarray  # (k,)
    work_frac: np.ndarray  # (k,)
    title: str
    caption: str


def data(jobs: Workload, *, title: str = "GPUs per job") -> Data:
    """Sums jobs and GPU-hours by GPU demand; bins at the ends that nobody uses are left out."""
    demand = jobs.gpu_demand
    top = math.ceil(math.log2(max(float(demand.max()), 1.0)))
    below_one = [*SHARES, math.nextafter(1.0, 0.0)]
    bounds = np.array([*below_one, *(2.0**k for k in range(top + 1))])
    labels = [f"≤ {SHARES[0]:g}", *(f"≤ {share:g}" for share in SHARES[1:]), "< 1"]
    labels += [_label(k) for k in range(top + 1)]
    of = np.searchsorted(bounds, demand)
    work = jobs.duration_s * demand
    first = int(of.min())
    kept = slice(first, len(bounds))
    counts = np.bincount(of, minlength=len(bounds))[kept] / len(jobs)
    sums = np.bincount(of, weights=work, minlength=len(bounds))[kept] / work.sum()
    caption = f"n = {len(jobs):,} jobs. Work: share of all GPU-hours (run time at speed 1 x GPUs)."
    return Data(tuple(labels[kept]), counts, sums, title, caption)


def _label(power: int) -> str:
    """The whole numbers in ``(2^(power-1), 2^power]``."""
    low, high = 2 ** (power - 1) + 1 if power > 0 else 1, 2**power
    return f"{high}" if low >= high else f"{low}–{high}"


def draw(figure_data: Data) -> Figure:
    """Two bars a bin, with their shares written on top."""
    k = len(figure_data.labels)
    with mpl.rc_context(style.RC):
        figure = style.new_figure(max(5.0, 1.6 + 0.75 * k), 3.8)
        ax = figure.subplots()
        at = np.arange(k)
        for side, frac, color, label in (
            (-0.5, figure_data.job_frac, "#0072B2", "jobs"),
            (0.5, figure_data.work_frac, "#D55E00", "work (GPU-hours)"),
        ):
            bars = ax.bar(at + side * BAR, frac, BAR, color=color, label=label)
            ax.bar_label(bars, [_percent(value) for value in frac], fontsize=7, padding=2)
        ax.set_xticks(at, figure_data.labels)
        ax.set_ylim(0, 1.12 * max(figure_data.job_frac.max(), figure_data.work_frac.max()))
        ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        ax.grid(axis="x", visible=False)
        ax.set_xlabel("GPUs of a job")
        ax.set_ylabel("share")
        ax.set_title(figure_data.title, loc="left")
        ax.legend(loc="lower right", bbox_to_anchor=(1.0, 0.99), ncols=2)  # above the axes: bars may reach any height
        style.caption(figure, figure_data.caption)
    return figure


def _percent(value: float) -> str:
    """Short, for a narrow bar: ``93``, ``5.5``, ``<0.1``; nothing for nothing."""
    if value == 0:
        return ""
    percent = 100 * value
    return f"{percent:.0f}" if percent >= 10 else f"{percent:.1f}" if percent >= 0.1 else "<0.1"


FIGURE = style.FigureKind(data, draw)
