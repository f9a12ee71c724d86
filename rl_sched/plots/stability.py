"""Does a long run stay good? VAL score, share of no-ops, entropy and temperature over training, one line a seed."""

from __future__ import annotations

from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, PercentFormatter

from rl_sched.errors import ConfigError
from rl_sched.evaluation.comparison import display
from rl_sched.evaluation.scores import MEAN_JCT, Objective
from rl_sched.plots import style

#: Columns that every curve has, and further panels as far as a curve has them.
COLUMNS = ("arm", "train_seed", "steps", "val_score")
PANELS = {
    "val_noop_share": "no-op share",
    "entropy_nats": "entropy (nats)",
    "temperature": "temperature",
}
MAX_ARMS = 4
#: Colour-blind-safe; dashes differ too from the sixth seed on.
SEED_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC3377", "#E69F00", "#56B4E9", "#44449C", "#882255")


class Curve(NamedTuple):
    """One training seed: k validations."""

    seed: int
    steps: np.ndarray  # (k,)
    panels: dict[str, np.ndarray]  #: column -> (k,)
    behind_frac: float  #: how much worse the last validation is than the best one; 0 = the best


class Data(NamedTuple):
    """A column of panels for each arm."""

    arms: dict[str, list[Curve]]
    columns: list[str]  #: panels from top to bottom; the first is the score
    objective: Objective
    title: str
    caption: str


def data(curves: pd.DataFrame, *, objective: Objective = MEAN_JCT, title: str = "Stability of training") -> Data:
    """The first ``MAX_ARMS`` arms, in the order of the table.

    Args:
        curves: Columns ``arm, train_seed, steps, val_score`` and those of ``PANELS``, as far as they were recorded.
        objective: What ``val_score`` is.
        title: Of the figure.

    Raises:
        ConfigError: A column is missing, or there is no row.
    """
    missing = [c for c in COLUMNS if c not in curves.columns]
    if missing or curves.empty:
        raise ConfigError(f"Curves of stability need rows with {', '.join(COLUMNS)}; missing: {missing or 'all rows'}.")
    extra = [c for c in PANELS if c in curves.columns and curves[c].notna().any()]
    names = list(dict.fromkeys(map(str, curves["arm"])))
    arms: dict[str, list[Curve]] = {}
    for arm in names[:MAX_ARMS]:
        own = curves[curves["arm"] == arm]
        arms[arm] = [
            _curve(int(str(seed)), run.sort_values("steps"), extra, objective)
            for seed, run in own.groupby("train_seed", sort=True)
        ]
    every = [c for found in arms.values() for c in found]
    behind = np.array([c.behind_frac for c in every])
    within, worst = int((behind <= 0.01).sum()), 100 * behind.max()
    text = (
        f"n = {len(every)} training runs, each a line; greedy play on VAL workloads, no interval. Last validation "
        f"within 1 % of the run's best one: {within} of {len(every)} runs (at worst {worst:.1f} % behind)."
    )
    if len(names) > MAX_ARMS:
        text += f" The first {MAX_ARMS} of {len(names)} arms are shown."
    return Data(arms, ["val_score", *extra], objective, title, text)


def _curve(seed: int, run: pd.DataFrame, extra: list[str], objective: Objective) -> Curve:
    score = objective.sign * run["val_score"].to_numpy(dtype=float)
    known = score[np.isfinite(score)]
    behind = float((score[-1] - known.min()) / abs(known.min())) if known.size else float("nan")
    panels = {c: run[c].to_numpy(dtype=float) for c in ("val_score", *extra)}
    return Curve(seed, run["steps"].to_numpy(dtype=float), panels, behind if np.isfinite(behind) else np.inf)


def draw(figure_data: Data) -> Figure:
    """Arms side by side, panels below each other with common axes."""
    arms, columns = figure_data.arms, figure_data.columns
    with mpl.rc_context(style.RC):
        width = max(6.8, 1.0 + 3.3 * len(arms))
        figure = style.new_figure(width, 1.3 + 1.75 * len(columns))
        axes = figure.subplots(len(columns), len(arms), squeeze=False, sharex="col", sharey="row")
        for j, (arm, curves) in enumerate(arms.items()):
            for i, column in enumerate(columns):
                ax = axes[i, j]
                for k, curve in enumerate(curves):
                    ax.plot(
                        curve.steps, curve.panels[column], color=SEED_COLORS[k % len(SEED_COLORS)], linewidth=1.3,
                        linestyle=style.OTHER_DASHES[k // 5 % 4], label=f"seed {curve.seed}",
                    )  # fmt: skip
                if column == "val_noop_share":
                    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
                if j == 0:
                    title = figure_data.objective.title
                    ax.set_ylabel(f"VAL {title}" if column == "val_score" else PANELS[column])
            axes[0, j].set_title(display(arm))
            axes[-1, j].set_xlabel("environment steps")
            axes[-1, j].xaxis.set_major_formatter(EngFormatter(sep=""))
        handles, labels = max((ax.get_legend_handles_labels() for ax in axes[0]), key=lambda found: len(found[1]))
        figure.legend(handles, labels, loc="outside right upper", fontsize=7.5)
        figure.suptitle(figure_data.title, fontsize=11)
        style.caption(figure, figure_data.caption)
    return figure


FIGURE = style.FigureKind(data, draw)
