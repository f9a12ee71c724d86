"""One degradation figure: policies under other loads, wrong estimates, a larger cluster, failures and other traces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator

from rl_sched.errors import ConfigError
from rl_sched.evaluation.conditions import ELSEWHERE, LOAD, NOISE
from rl_sched.evaluation.robustness import Standing
from rl_sched.plots import style

FAMILIES = {LOAD: "load, of the home scenario", NOISE: "spread of the run-time estimates", ELSEWHERE: "elsewhere"}
#: Percent, on an axis that is linear around 0 and logarithmic beyond.
TICKS = (0, 5, 10, 20, 50, 100, 200, 500, 1000, 5000)
#: Home on the scale of a family.
HOME_LEVEL = {LOAD: 1.0, NOISE: 0.0}


class Point(NamedTuple):
    """One policy under one condition; percent."""

    x: float  #: level of the family, or a count
    label: str
    versus: float  #: against the reference rule under the same condition; 0 for itself
    low: float
    high: float
    change: float  #: against itself at home; nan where the jobs are others


class Line(NamedTuple):
    """One policy in one family."""

    policy: str
    learned: bool
    points: list[Point]


class Data(NamedTuple):
    """Panels by family."""

    panels: dict[str, list[Line]]
    reference: str
    title: str
    caption: str


def data(standings: Sequence[Standing], policies: Sequence[str], reference: str, *, title: str = "Robustness") -> Data:
    """The chosen policies under all conditions; the first condition is home.

    Raises:
        ConfigError: There is nothing to show.
    """
    shown = [s for s in standings if s.row.name in policies and np.isfinite(s.row.score.value)]
    if not shown:
        raise ConfigError("A figure of robustness needs a policy that finished all jobs; there is none.")
    home = standings[0].condition
    panels: dict[str, list[Line]] = {}
    for family in FAMILIES:
        of = [s for s in shown if s.family == family or s.condition == home]
        names = list(dict.fromkeys(s.condition for s in of))
        if len(names) < 2:
            continue
        panels[family] = [
            Line(policy, own[0].row.learned, sorted(_point(s, family, names, home) for s in own))
            for policy in policies
            if (own := [s for s in of if s.row.name == policy])
        ]
    learned = next((s.row for s in shown if s.row.learned), None)
    n = f"n = {learned.score.n} {learned.over} for {style.label(learned.name)}, " if learned else ""
    workloads = next(s.row for s in shown if not s.row.learned).score.n if any(not s.row.learned for s in shown) else 0
    text = (
        f"Above: mean JCT against {reference} under the same condition, same workloads, paired 95 % intervals. "
        f"Below: mean JCT against the policy's own at home. {n}n = {workloads} workloads at home for a rule."
    )
    return Data(panels, reference, title, text)


def _point(s: Standing, family: str, names: Sequence[str], home: str) -> Point:
    at_home = s.condition == home
    level = HOME_LEVEL.get(family) if at_home else s.level
    x = float(names.index(s.condition)) if level is None else level
    label = s.condition if level is None else f"{100 * level:.0f} %"
    value, low, high = (0.0, np.nan, np.nan) if s.versus is None else s.versus[:3]
    change = 0.0 if at_home else np.nan if s.change is None else s.change.value
    return Point(x, label, value, low, high, change)


def draw(figure_data: Data) -> Figure:
    """Two rows: against the reference rule, and against home; policies are set a little apart."""
    panels = figure_data.panels
    widths = [max(2.0, float(max(len(line.points) for line in lines))) for lines in panels.values()]
    with mpl.rc_context(style.RC):
        figure = style.new_figure(max(7.0, 2.6 + 1.25 * sum(widths)), 6.6)
        axes = figure.subplots(2, len(panels), squeeze=False, sharex="col", sharey="row", width_ratios=widths)
        for column, (family, lines) in enumerate(panels.items()):
            ordered = family in HOME_LEVEL
            above, below = axes[:, column]
            step = min(np.diff(sorted({p.x for line in lines for p in line.points})))
            for k, line in enumerate(lines):
                look = style.look(line.policy)
                x = np.array([p.x for p in line.points]) + step * 0.055 * (k - 0.5 * (len(lines) - 1))
                style_of = {"color": look.color, "linestyle": look.dashes if ordered else "none"}
                marker = {"marker": "o" if line.learned else "s", "markersize": 6 if line.learned else 4.5}
                above.plot(x, [p.versus for p in line.points], **style_of, **marker, label=style.label(line.policy))
                for at, p in zip(x, line.points, strict=True):
                    above.plot([at, at], [p.low, p.high], color=look.color, linewidth=1.4)
                below.plot(x, [p.change for p in line.points], **style_of, **marker)
            for ax in (above, below):
                ax.axhline(0.0, color="#444444", linewidth=0.9, linestyle=":")
                ax.set_yscale("symlog", linthresh=20.0)
                ax.yaxis.set_major_locator(FixedLocator([sign * tick for tick in TICKS for sign in (-1, 1)]))
                ax.yaxis.set_major_formatter(lambda value, _: f"{value:+.0f} %" if value else "0")
            ticks = {p.x: p.label for line in lines for p in line.points}
            texts = [text if ordered else text.replace(" at ", "\nat ") for text in ticks.values()]
            below.set_xticks(list(ticks), texts)
            below.set_xlim(min(ticks) - 0.35 * step, max(ticks) + 0.35 * step)
            below.set_xlabel(FAMILIES[family])
        axes[0, 0].set_ylabel(f"mean JCT against\n{figure_data.reference}")
        axes[1, 0].set_ylabel("mean JCT against\nits own at home")
        handles, labels = axes[0, -1].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right upper", fontsize=8)
        figure.suptitle(figure_data.title, fontsize=11)
        style.caption(figure, figure_data.caption)
    return figure


FIGURE = style.FigureKind(data, draw)
