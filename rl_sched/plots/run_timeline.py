"""Queue length, running jobs and utilisation of single runs over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from rl_sched.evaluation import timeline
from rl_sched.evaluation.timeline import Segments
from rl_sched.plots import style
from rl_sched.plots.trace_arrivals import UNITS
from rl_sched.sim.result import RunResult

BINS = 300


class Line(NamedTuple):
    """One policy: means over k bins of time; nan after its end."""

    policy: str
    waiting: np.ndarray  # (k,) jobs
    running: np.ndarray  # (k,) jobs
    busy_frac: np.ndarray  # (k,) of all GPUs


class Data(NamedTuple):
    """Lines over common bins, in the order of the policies."""

    edges_s: np.ndarray  # (k + 1,) from the first submission
    lines: list[Line]
    title: str
    caption: str


def data(runs: Mapping[str, tuple[RunResult, Segments]], *, title: str = "The cluster over time") -> Data:
    """Averages over bins of equal width; each run is a result and its segments (``timeline.segments``)."""
    begin_s = min(float(result.submit_s[0]) for result, _ in runs.values())
    end_s = max(timeline.end_of(result) for result, _ in runs.values())
    edges = np.linspace(begin_s, max(end_s, begin_s + 1e-9), BINS + 1)
    lines = []
    for policy, (result, parts) in runs.items():
        over = edges[:-1] >= timeline.end_of(result)
        steps = (timeline.waiting_jobs, timeline.running_jobs, timeline.busy_gpus)
        waiting, running, busy = (np.where(over, np.nan, step(result, parts).mean(edges)) for step in steps)
        lines.append(Line(policy, waiting, running, busy / result.cluster.num_gpus))
    result, _ = next(iter(runs.values()))
    text = (
        f"n = {len(result.submit_s):,} jobs of one workload on {result.cluster.describe()}; means over {BINS} bins. A "
        "shared GPU is busy by the share in use."
    )
    return Data(edges - begin_s, lines, title, text)


def draw(figure_data: Data) -> Figure:
    """Three panels on one time axis."""
    end_s = float(figure_data.edges_s[-1])
    unit, length_s = next((u for u in UNITS if end_s >= 3 * u[1]), UNITS[-1])
    with mpl.rc_context(style.RC):
        figure = style.new_figure(8.6, 6.0)
        panels = figure.subplots(3, 1, sharex=True)
        for line in figure_data.lines:
            look = style.look(line.policy)
            for ax, values in zip(panels, (line.waiting, line.running, line.busy_frac), strict=True):
                ax.stairs(
                    values, figure_data.edges_s / length_s, baseline=None, color=look.color, linestyle=look.dashes,
                    linewidth=1.3, label=style.label(line.policy),
                )  # fmt: skip
        for ax, name in zip(panels, ("waiting jobs", "running jobs", "busy GPUs"), strict=True):
            ax.set_ylabel(name)
            ax.set_ylim(bottom=0)
        panels[2].set_ylim(0, 1.03)
        panels[2].yaxis.set_major_formatter(PercentFormatter(1.0))
        panels[2].set_xlim(0, end_s / length_s)
        panels[2].set_xlabel(f"{unit} since the first submission")
        panels[0].legend(loc="upper right")
        figure.suptitle(figure_data.title, fontsize=11)
        style.caption(figure, figure_data.caption)
    return figure


FIGURE = style.FigureKind(data, draw)
