"""What ran where and when in a sweep: training runs on their hosts, failures, and idle slots."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from rl_sched.errors import ConfigError
from rl_sched.evaluation.material import Stretch
from rl_sched.plots import style

#: A pause in which nothing ran is cut out if it is longer than this share of the time in which something did.
CUT_FRAC = 0.05
LEAST_CUT_S = 60.0
#: How wide it is then.
CUT_TO_FRAC = 0.02
#: Ends that are not the usual one, and how they are marked.
MARKS = {"failed": "X", "lost": "X", "pruned": "|", "interrupted": "|"}
MARK_COLORS = {"failed": "#CC0000", "lost": "#CC0000", "pruned": "#444444", "interrupted": "#444444"}
MAX_LEGEND = 12
UNITS = ((2 * 3600.0, 3600.0, "hours"), (180.0, 60.0, "minutes"), (0.0, 1.0, "seconds"))


class Bar(NamedTuple):
    """One stretch on its lane; times in seconds of the shown axis, on which long pauses are cut."""

    lane: int
    begin_s: float
    end_s: float
    arm: str
    end: str


class Pause(NamedTuple):
    """A time in which nothing ran, cut out of the axis."""

    at_s: float  #: of the shown axis
    length_s: float  #: real


class Data(NamedTuple):
    """Bars on lanes; a lane is one slot of a host."""

    bars: list[Bar]
    lanes: list[str]  #: host of each lane
    pauses: list[Pause]
    idle_frac: float  #: of the slots, outside the pauses
    title: str
    caption: str


def _cut(stretches: Sequence[Stretch]) -> tuple[np.ndarray, np.ndarray, list[Pause]]:
    """Knots of real and shown time, and the pauses between."""
    spans: list[list[float]] = []
    for begin_s, end_s in sorted((s.begin_s, s.end_s) for s in stretches):
        if spans and begin_s <= spans[-1][1]:
            spans[-1][1] = max(spans[-1][1], end_s)
        else:
            spans.append([begin_s, end_s])
    busy_s = sum(end - begin for begin, end in spans)
    longest_s = max(CUT_FRAC * busy_s, LEAST_CUT_S)
    real, shown, pauses = [spans[0][0]], [0.0], []
    for (_, end_s), (next_s, _) in zip(spans, spans[1:], strict=False):
        gap_s = next_s - end_s
        if gap_s > longest_s:
            at_s = shown[-1] + end_s - real[-1]
            width_s = min(CUT_TO_FRAC * busy_s, gap_s)
            pauses.append(Pause(at_s + width_s / 2, gap_s))
            real += [end_s, next_s]
            shown += [at_s, at_s + width_s]
    real.append(spans[-1][1])
    shown.append(shown[-1] + spans[-1][1] - real[-2])
    return np.array(real), np.array(shown), pauses


def data(stretches: Sequence[Stretch], slots: int, *, title: str = "Sweep") -> Data:
    """Places every stretch on the first free lane of its host.

    Args:
        stretches: Of all training runs.
        slots: Training runs that may run at a time; the share of idle time is of these, or of the lanes that were ever
            in use at once if they are more.
        title: Of the figure.

    Raises:
        ConfigError: There is no stretch.
    """
    if not stretches:
        raise ConfigError("A timeline needs at least one training run that has begun; there is none.")
    real, shown, pauses = _cut(stretches)
    until: list[tuple[str, float]] = []  # of each lane
    bars = []
    for s in sorted(stretches, key=lambda s: (s.begin_s, s.title)):
        free = (i for i, (place, end_s) in enumerate(until) if place == s.place and end_s <= s.begin_s)
        lane = next(free, len(until))
        until[lane : lane + 1] = [(s.place, s.end_s)]
        begin_s, end_s = np.interp([s.begin_s, s.end_s], real, shown)
        bars.append(Bar(lane, float(begin_s), float(end_s), s.arm, s.end))
    order = sorted(range(len(until)), key=lambda i: (until[i][0], i))
    lane_of = {lane: row for row, lane in enumerate(order)}
    bars = [bar._replace(lane=lane_of[bar.lane]) for bar in bars]
    paused_s = sum(p.length_s for p in pauses)
    total_s = (real[-1] - real[0] - paused_s) * max(slots, 1)
    idle = 1.0 - min(sum(s.end_s - s.begin_s for s in stretches) / total_s, 1.0) if total_s > 0 else 0.0
    counts = {kind: sum(s.end == kind for s in stretches) for kind in MARKS}
    ends = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or "none failed"
    begun = datetime.datetime.fromtimestamp(real[0], datetime.UTC).strftime("%Y-%m-%d %H:%M UTC")
    text = f"n = {len(stretches)} stretches of training runs from {begun} on; {ends}. {max(slots, 1)} slots, "
    text += f"{100 * idle:.0f} % of their time idle"
    text += f", not counting {len(pauses)} pause(s) of {_span(paused_s)} in all (dashed)." if pauses else "."
    text += " Cross: failed, or its process died; stroke: stopped from outside."
    if any(s.place == "" for s in stretches):
        text += " Runs whose host was not recorded are on lanes without a name."
    return Data(bars, [until[i][0] for i in order], pauses, idle, title, text)


def _span(length_s: float) -> str:
    _, unit, name = next(u for u in UNITS if length_s >= u[0])
    return f"{length_s / unit:.3g} {name}"


def draw(figure_data: Data) -> Figure:
    """Time to the right, one row a slot; a cross is a failure, a bar an end from outside."""
    bars = figure_data.bars
    length_s = max(bar.end_s for bar in bars)
    _, unit, name = next(u for u in UNITS if length_s >= u[0])
    arms = list(dict.fromkeys(bar.arm for bar in bars))
    with mpl.rc_context(style.RC):
        figure = style.new_figure(9.2, 1.9 + 0.32 * len(figure_data.lanes))
        ax = figure.subplots()
        for bar in bars:
            usual = bar.end not in MARKS
            ax.barh(
                bar.lane, (bar.end_s - bar.begin_s) / unit, 0.72, bar.begin_s / unit, color=style.look(bar.arm).color,
                alpha=0.9 if usual else 0.4, edgecolor="white", linewidth=0.4,
            )  # fmt: skip
            if not usual:
                ax.plot(bar.end_s / unit, bar.lane, MARKS[bar.end], color=MARK_COLORS[bar.end], markersize=7, zorder=5)
        for pause in figure_data.pauses:
            ax.axvline(pause.at_s / unit, color="#444444", linestyle="--", linewidth=0.9)
            ax.annotate(
                _span(pause.length_s), (pause.at_s / unit, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 2),
                textcoords="offset points", ha="center", fontsize=7, color="#444444",
            )  # fmt: skip
        ax.set_yticks(range(len(figure_data.lanes)), figure_data.lanes)
        ax.set_ylim(len(figure_data.lanes) - 0.4, -0.6)
        ax.set_xlim(0, 1.01 * length_s / unit)
        ax.grid(axis="y", visible=False)
        ax.set_xlabel(f"{name} since the beginning" + (", pauses left out" if figure_data.pauses else ""))
        ax.set_title(figure_data.title, loc="left", pad=14 if figure_data.pauses else None)
        patches = [Patch(color=style.look(arm).color, label=style.label(arm)) for arm in arms[:MAX_LEGEND]]
        figure.legend(handles=patches, loc="outside right upper", fontsize=7.5)
        style.caption(figure, figure_data.caption)
    return figure


FIGURE = style.FigureKind(data, draw)
