"""When the jobs of a trace arrive: jobs per hour over time, and how jobs and work add up."""

from __future__ import annotations

from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from rl_sched.plots import style
from rl_sched.workload import Workload

#: Widths of a bin that people can name, in seconds, and the most bins that can be told apart.
WIDTHS_S = {
    "1 s": 1.0, "10 s": 10.0, "1 min": 60.0, "5 min": 300.0, "15 min": 900.0, "1 h": 3600.0, "3 h": 10_800.0,
    "6 h": 21_600.0, "1 day": 86_400.0, "1 week": 604_800.0,
}  # fmt: skip
MAX_BINS = 250
#: Units of the time axis: name and seconds; the largest of which three at least are shown.
UNITS = (("days", 86_400.0), ("hours", 3600.0), ("minutes", 60.0), ("seconds", 1.0))


class Data(NamedTuple):
    """k bins of equal width, n jobs in order of arrival."""

    edges_s: np.ndarray  # (k + 1,) from the first arrival
    jobs_per_h: np.ndarray  # (k,)
    time_s: np.ndarray  # (n,) of each arrival, from the first
    work_frac: np.ndarray  # (n,) of all GPU-hours that have arrived by then
    title: str
    caption: str


def data(jobs: Workload, *, title: str = "Arrivals") -> Data:
    """Counts arrivals in bins of a width that suits the length of the trace."""
    time_s = jobs.submit_s - jobs.submit_s[0]
    span_s = float(time_s[-1])
    least_s = span_s / MAX_BINS
    name = next((name for name, width in WIDTHS_S.items() if width >= least_s), f"{least_s / 86_400:.0f} days")
    width_s = WIDTHS_S.get(name, least_s)
    bins = min(int(span_s // width_s) + 1, MAX_BINS)
    edges = np.arange(bins + 1) * width_s
    edges[-1] = max(edges[-1], span_s)  # where the last arrival is the edge of the last bin
    counts, _ = np.histogram(time_s, edges)
    work = np.cumsum(jobs.duration_s * jobs.gpu_demand)
    caption = (
        f"n = {len(jobs):,} jobs; bins of {name}. Work: GPU-hours (run time at speed 1 x GPUs) of the "
        "jobs that have arrived."
    )
    return Data(edges, counts * 3600.0 / np.diff(edges), time_s, work / work[-1], title, caption)


def draw(figure_data: Data) -> Figure:
    """Rate above, sums below, on one time axis."""
    end_s = float(figure_data.edges_s[-1])
    unit, length_s = next((u for u in UNITS if end_s >= 3 * u[1]), UNITS[-1])
    with mpl.rc_context(style.RC):
        figure = style.new_figure(8.0, 4.6)
        rate, total = figure.subplots(2, 1, sharex=True, height_ratios=[1.5, 1.0])
        rate.stairs(figure_data.jobs_per_h, figure_data.edges_s / length_s, fill=True, color="#0072B2", alpha=0.85)
        rate.set_ylabel("jobs per hour")
        rate.set_ylim(bottom=0)
        rate.set_title(figure_data.title)
        n = len(figure_data.time_s)
        x = np.append(figure_data.time_s, end_s) / length_s
        share = np.append(np.arange(1, n + 1) / n, 1.0)
        work = np.append(figure_data.work_frac, 1.0)
        total.step(x, share, where="post", color="#0072B2", label="jobs")
        total.step(x, work, where="post", color="#D55E00", linestyle=style.DASHED, label="work")
        total.set_ylim(0, 1.02)
        total.set_ylabel("arrived so far")
        total.yaxis.set_major_formatter(PercentFormatter(1.0))
        total.set_xlim(0, end_s / length_s)
        total.set_xlabel(f"{unit} since the first arrival")
        total.legend(loc="lower right")
        style.caption(figure, figure_data.caption)
    return figure


FIGURE = style.FigureKind(data, draw)
