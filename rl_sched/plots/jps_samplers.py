"""Samplers compared: how far above the optimum each ends, by the number of samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from rl_sched.plots import style
from rl_sched.policies.jps import SAMPLERS
from rl_sched.policies.jps.certificates import optimum
from rl_sched.policies.jps.instance import Instance
from rl_sched.policies.jps.placement import place


class Data(NamedTuple):
    """k numbers of samples."""

    samples: tuple[int, ...]
    above: dict[str, np.ndarray]  #: sampler -> (k,) mean per cent above the optimum
    error: dict[str, np.ndarray]  #: sampler -> (k,) half a 95 % interval
    caption: str


def data(instances: Sequence[Instance], samples: Sequence[int]) -> Data:
    """Places every instance with every sampler and number of samples, against its proven optimum."""
    best = [optimum(i) for i in instances]
    above, error = {}, {}
    for name in SAMPLERS:
        rows = np.array(
            [
                [
                    100.0 * b.gap(place(i, samples=n, rng=k, sampler=name))
                    for k, (i, b) in enumerate(zip(instances, best, strict=True))
                ]
                for n in samples
            ]
        )
        above[name] = rows.mean(axis=1)
        error[name] = 1.96 * rows.std(axis=1, ddof=1) / np.sqrt(len(instances))
    text = (
        f"n = {len(instances)} instances ({sum(b.proven for b in best)} with a proven optimum); bars: 95 % normal "
        "intervals of the means over instances."
    )
    return Data(tuple(samples), above, error, text)


def draw(figure_data: Data) -> Figure:
    """Groups of bars."""
    d = figure_data
    with mpl.rc_context(style.RC):
        figure = style.new_figure(6.8, 4.0)
        ax = figure.subplots()
        width = 0.8 / len(d.above)
        for n, (name, values) in enumerate(d.above.items()):
            at = np.arange(len(d.samples)) + (n - (len(d.above) - 1) / 2) * width
            ax.bar(at, values, width, yerr=d.error[name], color=style.OTHERS[n], label=name, capsize=2)
        ax.set_xticks(range(len(d.samples)), [str(n) for n in d.samples])
        ax.set_ylim(bottom=0)
        ax.set(xlabel="samples N", ylabel="mean JCT above the optimum (%)", title="Samplers")
        ax.legend()
        style.caption(figure, d.caption)
    return figure


FIGURE = style.FigureKind(data, draw)
