"""How a sweep scales: throughput against workers, and where a worker's time goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from rl_sched.errors import ConfigError
from rl_sched.plots import style
from rl_sched.sweeps.scaling import Point


class Data(NamedTuple):
    """Arrays over points, by workers; one line for each number of trials a worker."""

    lines: dict[int, tuple[np.ndarray, np.ndarray]]  #: trials a worker -> workers, trials a minute
    ideal: tuple[np.ndarray, np.ndarray]  #: workers, trials a minute without a platform
    shares: tuple[
        np.ndarray, np.ndarray, np.ndarray, np.ndarray
    ]  #: workers; % training, platform in and between trials
    caption: str


def data(points: Sequence[Point]) -> Data:
    """Orders what was measured; shares are those of the most trials a worker.

    Raises:
        ConfigError: There is no point.
    """
    if not points:
        raise ConfigError("The figure of a scaling study needs at least one point; there is none.")
    lines: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for each in sorted({round(p.trials / p.workers) for p in points}):
        own = sorted(p for p in points if round(p.trials / p.workers) == each)
        lines[each] = np.array([p.workers for p in own]), np.array([p.trials_per_min for p in own])
    most = max(lines)
    own = sorted(p for p in points if round(p.trials / p.workers) == most)
    trial_s = float(np.mean([p.trial_s for p in points]))
    workers = np.array(sorted({p.workers for p in points}))
    seconds = np.array([(p.trial_s, p.inside_s, max(p.between_s, 0.0)) for p in own])
    shares = 100 * seconds / seconds.sum(axis=1, keepdims=True)
    caption = (
        f"Simulated training of {trial_s:.3g} s a trial; n = {len(points)} sweeps. Throughput from the first trial's "
        f"start to the last one's end. Right: mean seconds of a worker in sweeps of {most} trials a worker."
    )
    names = np.array([p.workers for p in own])
    return Data(lines, (workers, 60 * workers / trial_s), (names, shares[:, 0], shares[:, 1], shares[:, 2]), caption)


def draw(figure_data: Data) -> Figure:
    """Throughput on two logarithmic axes beside the ideal; stacked bars of time."""
    with mpl.rc_context(style.RC):
        figure = style.new_figure(8.6, 3.9)
        left, right = figure.subplots(1, 2)
        workers, ideal = figure_data.ideal
        left.plot(workers, ideal, color="#999999", linestyle="--", label="no platform")
        for (each, (x, y)), color in zip(
            figure_data.lines.items(), ("#0072B2", "#D55E00", "#009E73", "#CC79A7"), strict=False
        ):
            left.plot(x, y, "o-", color=color, markersize=4.5, label=f"{each} trials a worker")
        left.set(xscale="log", yscale="log", xlabel="workers", ylabel="trials a minute", title="Throughput")
        left.set_xticks(workers, [str(w) for w in workers])
        left.minorticks_off()
        left.legend()
        x, *shares = figure_data.shares
        place, bottom = np.arange(len(x)), np.zeros(len(x))
        for share, color, name in zip(
            shares,
            ("#56B4E9", "#E69F00", "#D55E00"),
            ("training", "platform, in a trial", "platform, between"),
            strict=True,
        ):
            right.bar(place, share, bottom=bottom, color=color, width=0.65, label=name)
            bottom += share
        right.set_xticks(place, [str(w) for w in x])
        lowest = float(shares[0].min())
        right.set(
            ylim=(max(0.0, lowest - 10), 100), xlabel="workers", ylabel="% of a worker's time", title="Where time goes"
        )
        right.legend(loc="lower left")
        style.caption(figure, figure_data.caption)
    return figure


FIGURE = style.FigureKind(data, draw)
