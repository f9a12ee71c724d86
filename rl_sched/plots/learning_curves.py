"""Learning curves: VAL score of every arm against environment steps and against seconds, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FixedLocator, FuncFormatter, NullFormatter

from rl_sched.errors import ConfigError
from rl_sched.evaluation import statistics as st
from rl_sched.evaluation.comparison import parse_factors, short
from rl_sched.evaluation.scores import MEAN_JCT, Objective
from rl_sched.plots import style

COLUMNS = ("arm", "train_seed", "steps", "seconds", "val_score")
MAX_PANELS = 4
#: Arms with more values than this factor of the best are cut off at the top: an early, untrained policy is far off.
HEADROOM = 4.0


class Curve(NamedTuple):
    """One arm: k validations."""

    arm: str
    steps: np.ndarray  # (k,)
    seconds: np.ndarray  # (k,) mean over seeds
    value: np.ndarray  # (k,) score
    low: np.ndarray  # (k,)
    high: np.ndarray  # (k,)
    n: int


class Data(NamedTuple):
    """Panels of curves, and horizontal lines of rules."""

    panels: list[tuple[str, list[Curve]]]
    levels: dict[str, float]  #: rule -> score on VAL
    objective: Objective
    title: str
    caption: str


def _curve(arm: str, rows: pd.DataFrame) -> Curve:
    """Runs validate at slightly different steps: all are read off at common steps, by linear interpolation."""
    runs = [run.sort_values("steps") for _, run in rows.groupby("train_seed")]
    first = max(float(run["steps"].iloc[0]) for run in runs)
    last = min(float(run["steps"].iloc[-1]) for run in runs)
    if last < first:  # a run ended before another one's first validation: only the longest can be shown
        runs = [max(runs, key=lambda run: float(run["steps"].iloc[-1]))]
        first, last = float(runs[0]["steps"].iloc[0]), float(runs[0]["steps"].iloc[-1])
    steps = np.linspace(first, last, max(len(run) for run in runs)) if last > first else np.array([first])

    def at_steps(column: str) -> np.ndarray:
        """(k, seeds)."""
        return np.stack([np.interp(steps, run["steps"], run[column]) for run in runs], axis=1)

    found = [st.estimate(values, resamples=st.RESAMPLES) for values in at_steps("val_score")]
    value, low, high = (np.array([getattr(e, name) for e in found]) for name in ("value", "low", "high"))
    return Curve(arm, steps, at_steps("seconds").mean(axis=1), value, low, high, len(runs))


def data(
    curves: pd.DataFrame,
    *,
    levels: dict[str, float] | None = None,
    objective: Objective = MEAN_JCT,
    title: str = "Learning curves",
) -> Data:
    """Aggregates the curves over training seeds, validation by validation.

    Args:
        curves: Columns ``arm, train_seed, steps, seconds, val_score``.
        levels: Scores of rules on VAL to draw as lines.
        objective: What ``val_score`` is.
        title: Of the figure.

    Raises:
        ConfigError: A column is missing or there is no row.
    """
    missing = [c for c in COLUMNS if c not in curves.columns]
    if missing or curves.empty:
        raise ConfigError(f"Learning curves need rows with {', '.join(COLUMNS)}; missing: {missing or 'all rows'}.")
    finite = curves[np.isfinite(curves["val_score"].to_numpy(dtype=float))]
    found = [_curve(str(arm), rows) for arm, rows in finite.groupby("arm", sort=True)]
    counts = sorted({c.n for c in found})
    least = counts[0] if counts else 0
    many = least >= st.MIN_SEEDS_FOR_BOOTSTRAP
    method = "interquartile mean and 95 % bootstrap interval" if many else "mean and 95 % Student's t interval"
    if least < 2:
        method = "single runs without an interval"
    n = f"{counts[0]} to {counts[-1]}" if len(counts) > 1 else f"{least}"
    text = (
        f"Lines: {objective.name} on VAL workloads; {method} over n = {n} training seeds. Seconds: wall-clock of a run."
    )
    return Data(_panels(found), dict(levels or {}), objective, title, text)


def _panels(curves: Sequence[Curve]) -> list[tuple[str, list[Curve]]]:
    """One panel for each level of the factor with the fewest levels (at least two); else a single panel."""
    factors = [parse_factors(c.arm) for c in curves]
    levels: dict[str, list[str]] = {}
    for f in factors:
        for key, value in f.items():
            if value not in levels.setdefault(key, []):
                levels[key].append(value)
    by = [k for k, v in levels.items() if 2 <= len(v) <= MAX_PANELS and all(k in f for f in factors)]
    if not by or len(curves) <= MAX_PANELS:
        return [("", list(curves))]
    key = min(by, key=lambda k: len(levels[k]))
    return [
        (f"{short(key)} = {level}", [c for c, f in zip(curves, factors, strict=True) if f[key] == level])
        for level in levels[key]
    ]


def draw(figure_data: Data) -> Figure:
    """One column a panel; steps above, seconds below; all on one scale, logarithmic for times."""
    panels = figure_data.panels
    with mpl.rc_context(style.RC):
        figure = style.new_figure(max(6.4, 4.3 * len(panels)), 6.6)
        axes = figure.subplots(2, len(panels), squeeze=False, sharey=True)
        everything = [c for _, curves in panels for c in curves]
        values = np.concatenate([*(c.value for c in everything), list(figure_data.levels.values())])
        if figure_data.objective.lower_is_better:
            bottom, top = values.min() * 0.97, min(values.max() * 1.05, values.min() * HEADROOM)
        for column, (name, curves) in enumerate(panels):
            for row, (axis, unit) in enumerate((("steps", "environment steps"), ("seconds", "seconds of training"))):
                ax = axes[row, column]
                for c in curves:
                    look, x = style.look(c.arm), getattr(c, axis)
                    ax.plot(x, c.value, color=look.color, linestyle=look.dashes, label=style.label(c.arm))
                    if np.isfinite(c.low).all() and len(x) > 1:
                        ax.fill_between(x, c.low, c.high, color=look.color, alpha=0.13, linewidth=0)
                for rule, level in figure_data.levels.items():
                    ax.axhline(level, color=style.look(rule).color, linestyle=style.look(rule).dashes, linewidth=1.0)
                    ax.annotate(
                        rule, (1.0, level), xycoords=("axes fraction", "data"), xytext=(-2, 2),
                        textcoords="offset points", ha="right", va="bottom", fontsize=7, color="#444444",
                    )  # fmt: skip
                if figure_data.objective.lower_is_better:  # times, all above 0
                    _scale(ax, bottom, top)
                ax.set_xlabel(unit)
                ax.xaxis.set_major_formatter(EngFormatter(sep=""))
                if column == 0:
                    ax.set_ylabel(f"VAL {figure_data.objective.title}")
            axes[0, column].set_title(name)
            axes[0, column].legend(loc="upper right", ncols=1 if len(curves) < 5 else 2)
        figure.suptitle(figure_data.title, fontsize=11)
        style.caption(figure, figure_data.caption)
    return figure


def _scale(ax: mpl.axes.Axes, bottom: float, top: float) -> None:
    """A logarithmic axis with a handful of round ticks, even within one decade."""
    ax.set_yscale("log")
    ax.set_ylim(bottom, top)
    step = next(
        s for s in (1, 2, 5, 10, 20, 25, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1e5, 1e6) if (top - bottom) / s < 9
    )
    ax.yaxis.set_major_locator(FixedLocator(list(np.arange(np.ceil(bottom / step), top / step + 1e-9) * step)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    ax.yaxis.set_minor_formatter(NullFormatter())


FIGURE = style.FigureKind(data, draw)
