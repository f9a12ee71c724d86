"""Distribution of mean JCTs over many instances, relative to their bounds, for every sampler."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from rl_sched.plots import style
from rl_sched.policies.jps import SAMPLERS
from rl_sched.policies.jps.instance import Instance
from rl_sched.policies.jps.placement import place


class Data(NamedTuple):
    """n instances."""

    ratio: dict[str, np.ndarray]  #: sampler -> (n,) mean JCT over the relaxation's bound, ascending
    caption: str


def data(instances: Sequence[Instance], *, samples: int = 10) -> Data:
    """Places every instance with every sampler."""
    ratio = {
        name: np.sort([1.0 + place(i, samples=samples, rng=n, sampler=name).gap for n, i in enumerate(instances)])
        for name in SAMPLERS
    }
    ratio["one start"] = np.sort([1.0 + place(i, samples=1).gap for i in instances])
    text = (
        f"n = {len(instances)} instances, N = {samples} samples. No interval: every instance is shown. The bound is "
        "that of the relaxation, which no placement can reach exactly."
    )
    return Data(ratio, text)


def draw(figure_data: Data) -> Figure:
    """One step line a sampler."""
    with mpl.rc_context(style.RC):
        figure = style.new_figure(6.4, 4.0)
        ax = figure.subplots()
        for n, (name, ratio) in enumerate(figure_data.ratio.items()):
            fraction = np.arange(1, len(ratio) + 1) / len(ratio)
            ax.step(
                ratio, fraction, where="post", color=style.OTHERS[n], linestyle=style.OTHER_DASHES[n % 4], label=name
            )
        ax.set_xlabel("mean JCT over the lower bound")
        ax.set_ylabel("instances")
        ax.set_ylim(0, 1.01)
        ax.set_title("Mean JCT over many instances")
        ax.legend(title="starts")
        style.caption(figure, figure_data.caption)
    return figure


FIGURE = style.FigureKind(data, draw)
