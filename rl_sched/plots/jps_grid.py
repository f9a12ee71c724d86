"""Mean JCT and fairness of JPS over a grid of alpha and beta, as heat maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from rl_sched.plots import style
from rl_sched.policies.jps.instance import Instance
from rl_sched.policies.jps.placement import place


class Data(NamedTuple):
    """A alphas, B betas."""

    alphas: tuple[float, ...]
    betas: tuple[float, ...]
    above: np.ndarray  # (A, B) mean over instances of the mean JCT above the bound, per cent
    fairness: np.ndarray  # (A, B) mean Jain index
    caption: str


def data(instances: Sequence[Instance], alphas: Sequence[float], betas: Sequence[float], *, samples: int = 30) -> Data:
    """Places every instance at every point of the grid, with the same draws."""
    above = np.zeros((len(alphas), len(betas)))
    fairness = np.zeros_like(above)
    for a, alpha in enumerate(alphas):
        for b, beta in enumerate(betas):
            found = [place(i, alpha, beta, samples, n) for n, i in enumerate(instances)]
            above[a, b] = 100.0 * np.mean([p.gap for p in found])
            fairness[a, b] = np.mean([p.fairness for p in found])
    text = (
        f"n = {len(instances)} instances a cell, N = {samples} samples, the same draws in all. Means, no interval: "
        "cells share instances. JCT is shown above the relaxation's bound; scores of different beta are not compared."
    )
    return Data(tuple(alphas), tuple(betas), above, fairness, text)


def draw(figure_data: Data) -> Figure:
    """Two maps side by side."""
    with mpl.rc_context(style.RC):
        figure = style.new_figure(9.0, 4.2)
        for ax, values, title in zip(
            figure.subplots(1, 2), (figure_data.above, figure_data.fairness),
            ("mean JCT above the bound (%)", "fairness (Jain's index)"), strict=True,
        ):  # fmt: skip
            image = ax.imshow(values, origin="lower", aspect="auto", cmap="viridis")
            ax.set_xticks(range(len(figure_data.betas)), [f"{b:g}" for b in figure_data.betas])
            ax.set_yticks(range(len(figure_data.alphas)), [f"{a:g}" for a in figure_data.alphas])
            ax.set_xlabel("beta: weight of the mean JCT")
            ax.set_ylabel("alpha: where sampling starts")
            ax.set_title(title)
            ax.grid(visible=False)
            figure.colorbar(image, ax=ax)
        style.caption(figure, figure_data.caption)
    return figure


FIGURE = style.FigureKind(data, draw)
