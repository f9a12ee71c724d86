"""Who works for whom: the placement of one instance, and how busy each worker is."""

from __future__ import annotations

from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from rl_sched.plots import style
from rl_sched.policies.jps.instance import Instance
from rl_sched.policies.jps.placement import place


class Data(NamedTuple):
    """S jobs, K workers."""

    busy_frac: np.ndarray  # (S, K) share of the time until the last job ends that the worker serves the job
    jct_s: np.ndarray  # (S,)
    caption: str


def data(instance: Instance, *, samples: int = 40, seed: int = 0) -> Data:
    """Places an instance once."""
    found = place(instance, samples=samples, rng=seed)
    busy = np.zeros(instance.throughput.shape)
    used = np.flatnonzero(found.owner >= 0)
    busy[found.owner[used], used] = found.jct_s[found.owner[used]] / found.jct_s.max()
    idle = int((found.owner < 0).sum())
    text = (
        f"n = 1 instance, N = {samples}; {idle} of {instance.num_workers} workers idle. Shade: time at work until the "
        f"last job ends; every worker has one job. No interval: one placement. Mean JCT {100 * found.gap:.2f} % "
        "above the relaxation's bound at most."
    )
    return Data(busy, found.jct_s, text)


def draw(figure_data: Data) -> Figure:
    """A map of jobs by workers."""
    d = figure_data
    with mpl.rc_context(style.RC):
        figure = style.new_figure(8.0, 1.8 + 0.32 * len(d.jct_s))
        ax = figure.subplots()
        image = ax.imshow(d.busy_frac, aspect="auto", cmap="Blues", vmin=0, vmax=1)
        ax.set_xlabel("worker")
        ax.set_yticks(range(len(d.jct_s)), [f"job {i}: {t:,.0f} s" for i, t in enumerate(d.jct_s)])
        ax.set_title("Worker utilisation")
        ax.grid(visible=False)
        figure.colorbar(image, ax=ax, label="share of the time")
        style.caption(figure, d.caption)
    return figure


FIGURE = style.FigureKind(data, draw)
