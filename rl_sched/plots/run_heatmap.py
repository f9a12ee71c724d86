"""Utilisation heat map of a run: nodes over time."""

from __future__ import annotations

from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from rl_sched.evaluation import timeline
from rl_sched.plots import style
from rl_sched.plots.trace_arrivals import UNITS
from rl_sched.sim.eventlog import LogPart
from rl_sched.sim.result import RunResult

BINS = 120
#: More rows cannot be told apart: neighbouring nodes of one pool then share one.
MAX_ROWS = 64


class Data(NamedTuple):
    """R rows of nodes, k bins of time."""

    busy_frac: np.ndarray  # (R, k) of the row's GPUs, mean over the bin
    edges_s: np.ndarray  # (k + 1,) from the first submission
    rows: list[str]
    title: str
    caption: str


def _rows(result: RunResult) -> tuple[np.ndarray, list[str]]:
    """(M,) row of every node, and the rows' names."""
    cluster = result.cluster
    per_row = -(-cluster.num_nodes // MAX_ROWS)
    row = np.zeros(cluster.num_nodes, np.int64)
    names: list[str] = []
    for pool in range(cluster.num_pools):
        nodes = np.flatnonzero(cluster.node_pool == pool)
        for k in range(0, len(nodes), per_row):
            part = nodes[k : k + per_row]
            row[part] = len(names)
            span = f"{part[0]}" if len(part) == 1 else f"{part[0]}-{part[-1]}"
            names.append(f"{cluster.pool_names[pool]} {span}")
    return row, names


def data(result: RunResult, log: LogPart, *, title: str = "Utilisation of nodes") -> Data:
    """Busy GPUs of every node over bins of equal width, from a run and its event log."""
    parts = timeline.segments(result, log)
    row_of_node, names = _rows(result)
    starts = log.rows[parts.log_row]
    counts = starts["gpus"].astype(np.int64)
    segment = np.repeat(np.arange(len(counts)), counts)
    place = np.arange(len(segment)) - np.repeat(np.cumsum(counts) - counts, counts)
    gpu = log.gpus[starts["first"][segment] + place]
    row = row_of_node[result.cluster.gpu_node[gpu]]
    share = (parts.busy_gpus / np.maximum(counts, 1))[segment]
    begin_s = float(result.submit_s[0])
    edges = np.linspace(begin_s, max(timeline.end_of(result), begin_s + 1e-9), BINS + 1)
    size = np.bincount(row_of_node, weights=result.cluster.node_size, minlength=len(names))
    busy = np.zeros((len(names), BINS))
    for r in range(len(names)):
        own = np.flatnonzero(row == r)
        if own.size:
            time_s = np.concatenate([parts.start_s[segment[own]], parts.end_s[segment[own]]])
            busy[r] = timeline.steps(time_s, np.concatenate([share[own], -share[own]]), begin_s).mean(edges)
    text = (
        f"n = {len(result.submit_s):,} jobs on {result.cluster.describe()}; means over {BINS} bins. A row is a node"
        f"{', or some neighbouring ones' if len(names) < result.cluster.num_nodes else ''}; a shared GPU is busy by "
        "the share in use."
    )
    return Data(np.clip(busy / size[:, None], 0.0, 1.0), edges - begin_s, names, title, text)


def draw(figure_data: Data) -> Figure:
    """One row a node; empty is white, all GPUs busy is full colour."""
    end_s = float(figure_data.edges_s[-1])
    unit, length_s = next((u for u in UNITS if end_s >= 3 * u[1]), UNITS[-1])
    rows = len(figure_data.rows)
    with mpl.rc_context(style.RC):
        figure = style.new_figure(8.6, min(1.8 + 0.22 * rows, 9.0))
        ax = figure.subplots()
        image = ax.imshow(
            figure_data.busy_frac, aspect="auto", cmap="Blues", vmin=0.0, vmax=1.0, interpolation="nearest",
            extent=(0.0, end_s / length_s or 1.0, rows, 0.0),
        )  # fmt: skip
        every = -(-rows // 32)
        ax.set_yticks(np.arange(0, rows, every) + 0.5, figure_data.rows[::every], fontsize=7.0)
        ax.grid(visible=False)
        ax.set_xlabel(f"{unit} since the first submission")
        ax.set_title(figure_data.title)
        figure.colorbar(image, label="busy share of the GPUs")
        style.caption(figure, figure_data.caption)
    return figure


FIGURE = style.FigureKind(data, draw)
