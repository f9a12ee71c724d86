"""Gantt chart of a run: which job was on which GPU when, and which nodes were out of order."""

from __future__ import annotations

from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from rl_sched.errors import ConfigError
from rl_sched.evaluation import timeline
from rl_sched.plots import style
from rl_sched.plots.trace_arrivals import UNITS
from rl_sched.sim.eventlog import KILL, NODE_DOWN, NODE_UP, PREEMPT, LogPart
from rl_sched.sim.result import RunResult
from rl_sched.workload import WHOLE_GPU

#: More than this cannot be told apart on a page.
MAX_GPUS, MAX_SEGMENTS = 128, 5000
#: Share of the time axis that a bar must have for its job's number to fit.
_WIDE = 0.025
_EDGES = {PREEMPT: ("#000000", "preempted"), KILL: ("#D00000", "killed")}


class Bar(NamedTuple):
    """A segment on neighbouring GPUs."""

    job: int
    gpu: float  # the first, or the part of a shared one
    gpus: float  # how many, a fraction of a shared one
    start_s: float  # from the first submission
    length_s: float
    kind: int  # how it ended, see ``timeline.Segments.kind``


class Data(NamedTuple):
    """Bars in order of their starts."""

    bars: list[Bar]
    down: list[Bar]  # nodes out of order
    num_gpus: int
    node_first: list[int]  # first GPU of each node
    pools: list[tuple[str, float]]  # name and middle of the GPUs of each node group
    end_s: float
    title: str
    caption: str


def too_large(result: RunResult, log: LogPart) -> str | None:
    """Why the run cannot be shown; None if it can."""
    gpus, starts = result.cluster.num_gpus, int((log.rows["gpus"] > 0).sum())
    if gpus > MAX_GPUS or starts > MAX_SEGMENTS:
        return (
            f"a Gantt chart shows at most {MAX_GPUS} GPUs and {MAX_SEGMENTS:,} segments; here are {gpus} and {starts:,}"
        )
    return None


def data(result: RunResult, log: LogPart, *, title: str = "Jobs on GPUs") -> Data:
    """Bars of a run and its event log.

    Raises:
        ConfigError: The cluster or the run is too large to be shown.
    """
    if why := too_large(result, log):
        raise ConfigError(f"This run cannot be shown: {why}.")
    begin_s, cluster = float(result.submit_s[0]), result.cluster
    parts = timeline.segments(result, log)
    bars: list[Bar] = []
    covered = False
    shares: dict[int, list[tuple[float, int, int]]] = {}  # GPU -> (end, first thousandth, thousandths) of its sharers
    starts = log.rows[parts.log_row]
    columns = (parts.job, parts.start_s, parts.end_s, parts.kind, starts["first"], starts["gpus"])
    for job, start, end, kind, first, count in zip(*(column.tolist() for column in columns), strict=True):
        gpus = log.gpus[first : first + count]
        when = (start - begin_s, end - start, kind)
        if (milli := int(result.gpu_milli[job])) < WHOLE_GPU:
            there = [share for share in shares.get(int(gpus[0]), []) if share[0] > start]
            gap = _first_gap(there, milli)
            at = 0 if gap is None else gap
            covered |= gap is None
            shares[int(gpus[0])] = [*there, (end, at, milli)]
            bars.append(Bar(job, int(gpus[0]) + at / WHOLE_GPU, milli / WHOLE_GPU, *when))
        else:
            ordered = np.sort(gpus)
            for block in np.split(ordered, np.flatnonzero(np.diff(ordered) > 1) + 1):
                bars.append(Bar(job, int(block[0]), len(block), *when))
    sizes = cluster.node_size
    node_first = (np.cumsum(sizes) - sizes).tolist()
    interrupted = int(result.preemptions.sum()), int(result.kills.sum())
    text = (
        f"n = {len(result.submit_s):,} jobs, {len(parts.job):,} segments, {interrupted[0]:,} preemptions, "
        f"{interrupted[1]:,} kills. One row a GPU; thin lines part nodes. Colours only tell neighbours apart."
    )
    if covered:
        text += " Sharers of a GPU for which no gap is left in one piece cover others."
    down, groups = _down(result, log, begin_s), _groups(result)
    return Data(bars, down, cluster.num_gpus, node_first, groups, float(result.makespan_s), title, text)


def _first_gap(there: list[tuple[float, int, int]], milli: int) -> int | None:
    """The lowest thousandth from which on ``milli`` are not taken; None if what is left lies in pieces."""
    at = 0
    for _, first, length in sorted(there, key=lambda share: share[1]):
        if first - at >= milli:
            return at
        at = max(at, first + length)
    return at if at + milli <= WHOLE_GPU else None


def _down(result: RunResult, log: LogPart, begin_s: float) -> list[Bar]:
    rows = log.rows[log.rows["kind"] >= NODE_DOWN]
    cluster, out, since = result.cluster, [], {}
    first = np.cumsum(cluster.node_size) - cluster.node_size
    ends = [(float(row["time_s"]), int(row["kind"]), int(row["job"])) for row in rows]
    ends += [(timeline.end_of(result), NODE_UP, node) for node in range(cluster.num_nodes)]
    for time_s, kind, node in ends:
        if kind == NODE_DOWN:
            since[node] = time_s
        elif node in since:
            down_s = since.pop(node)
            out.append(Bar(node, int(first[node]), int(cluster.node_size[node]), down_s - begin_s, time_s - down_s, -1))
    return out


def _groups(result: RunResult) -> list[tuple[str, float]]:
    """Name and middle of each stretch of GPUs of one pool."""
    pool = result.cluster.gpu_pool
    blocks = np.split(np.arange(len(pool)), np.flatnonzero(np.diff(pool)) + 1)
    return [(result.cluster.pool_names[pool[block[0]]], float(block.mean()) + 0.5) for block in blocks]


def draw(figure_data: Data) -> Figure:
    """One row a GPU, the first at the top."""
    unit, length_s = next((u for u in UNITS if figure_data.end_s >= 3 * u[1]), UNITS[-1])
    height = min(max(1.9 + 0.16 * figure_data.num_gpus, 3.0), 11.0)
    with mpl.rc_context(style.RC):
        figure = style.new_figure(9.6, height)
        ax = figure.subplots()
        bars = figure_data.bars
        patches = [Rectangle((b.start_s / length_s, b.gpu), b.length_s / length_s, b.gpus) for b in bars]
        colors = [style.OTHERS[b.job % len(style.OTHERS)] for b in bars]
        ax.add_collection(PatchCollection(patches, facecolors=colors, edgecolors="white", linewidths=0.3, alpha=0.85))
        down = [Rectangle((b.start_s / length_s, b.gpu), b.length_s / length_s, b.gpus) for b in figure_data.down]
        ax.add_collection(PatchCollection(down, facecolors="#DDDDDD", edgecolors="#777777", hatch="////", linewidths=0))
        keys = [Patch(facecolor="#DDDDDD", edgecolor="#777777", hatch="////", label="out of order")] if down else []
        for kind, (color, name) in _EDGES.items():
            cut = [b for b in bars if b.kind == kind]
            if cut:
                x = [(b.start_s + b.length_s) / length_s for b in cut]
                ax.vlines(x, [b.gpu for b in cut], [b.gpu + b.gpus for b in cut], colors=color, linewidth=0.9)
                keys.append(Patch(facecolor=color, label=name))
        for b in bars:
            if b.length_s >= _WIDE * figure_data.end_s and b.gpus * height / figure_data.num_gpus > 0.07:
                ax.text(
                    (b.start_s + b.length_s / 2) / length_s, b.gpu + b.gpus / 2, str(b.job), ha="center",
                    va="center", fontsize=6.5, color="white", clip_on=True,
                )  # fmt: skip
        for first in figure_data.node_first[1:]:
            ax.axhline(first, color="#444444", linewidth=0.5)
        ax.set_xlim(0, figure_data.end_s / length_s or 1.0)
        ax.set_ylim(figure_data.num_gpus, 0)
        ax.set_yticks([middle for _, middle in figure_data.pools], [name for name, _ in figure_data.pools])
        ax.grid(axis="y", visible=False)
        ax.set_xlabel(f"{unit} since the first submission")
        ax.set_title(figure_data.title)
        if keys:
            ax.legend(handles=keys, loc="upper right", ncols=len(keys), bbox_to_anchor=(1.0, 1.0 + 0.45 / height))
        style.caption(figure, figure_data.caption)
    return figure


FIGURE = style.FigureKind(data, draw)
