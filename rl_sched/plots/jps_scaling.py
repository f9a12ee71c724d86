"""Mean JCT against the number of workers, with and without communication."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from rl_sched.plots import style
from rl_sched.policies.jps.generate import generate
from rl_sched.policies.jps.placement import place


class Data(NamedTuple):
    """k sizes."""

    workers: tuple[int, ...]
    mean_s: dict[str, np.ndarray]  #: line -> (k,)
    error_s: dict[str, np.ndarray]  #: line -> (k,) half a 95 % interval
    idle_frac: np.ndarray  # (k,) workers left idle, with communication
    caption: str


def data(workers: Sequence[int], *, num_jobs: int = 4, seeds: int = 12, samples: int = 40) -> Data:
    """Places instances of the base family of every size; the same seeds, so the same jobs, at each."""
    mean: dict[str, np.ndarray] = {}
    error: dict[str, np.ndarray] = {}
    idle = np.zeros(len(workers))
    for name, communication in (("gradients free", False), ("gradients over 10 to 100 Gb/s", True)):
        rows = np.zeros((len(workers), seeds))
        for n, size in enumerate(workers):
            for seed in range(seeds):
                found = place(
                    generate("base", num_jobs, size, seed, communication=communication), samples=samples, rng=seed
                )
                rows[n, seed] = found.mean_jct_s
                idle[n] += (found.owner < 0).mean() / seeds if communication else 0.0
        mean[name] = rows.mean(axis=1)
        error[name] = 1.96 * rows.std(axis=1, ddof=1) / np.sqrt(seeds)
    text = (
        f"n = {seeds} instances of {num_jobs} jobs a point, N = {samples}; bands: 95 % normal intervals of the means "
        "over instances."
    )
    return Data(tuple(workers), mean, error, idle, text)


def draw(figure_data: Data) -> Figure:
    """JCT on logarithmic axes, and the idle workers below."""
    d = figure_data
    with mpl.rc_context(style.RC):
        figure = style.new_figure(6.4, 5.0)
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        for color, name in zip(("#0072B2", "#D55E00"), d.mean_s, strict=True):
            low, high = d.mean_s[name] - d.error_s[name], d.mean_s[name] + d.error_s[name]
            top.fill_between(d.workers, np.maximum(low, 1e-9), high, color=color, alpha=0.15, linewidth=0)
            top.plot(d.workers, d.mean_s[name], "o-", markersize=3, color=color, label=name)
        top.set(xscale="log", yscale="log", ylabel="mean JCT (s)", title="Mean JCT against the number of workers")
        top.legend()
        bottom.plot(d.workers, 100 * d.idle_frac, "o-", markersize=3, color="#D55E00")
        bottom.set(xlabel="workers K", ylabel="idle (%)")
        bottom.set_xticks(d.workers, [str(k) for k in d.workers])
        bottom.minorticks_off()
        style.caption(figure, d.caption)
    return figure


FIGURE = style.FigureKind(data, draw)
