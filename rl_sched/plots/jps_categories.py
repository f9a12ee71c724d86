"""What categories say: JCTs against their imbalance and their entropy, all categories of one instance."""

from __future__ import annotations

from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from rl_sched.plots import style
from rl_sched.policies.jps.arrays import problem_of
from rl_sched.policies.jps.categories import MAX_LISTED, best_categories, count_categories
from rl_sched.policies.jps.instance import Instance
from rl_sched.policies.jps.market import clear
from rl_sched.policies.jps.placement import measured
from rl_sched.policies.jps.relaxation import relax


class Data(NamedTuple):
    """c categories, in the order of their promise."""

    mean_s: np.ndarray  # (c,) mean JCT of the market's placement
    variance_s2: np.ndarray  # (c,) variance of the JCTs of its jobs
    largest: np.ndarray  # (c,) workers of the job that has most
    entropy_bits: np.ndarray  # (c,) Shannon entropy of the shares of the workers
    caption: str


def data(instance: Instance) -> Data:
    """Places every category of an instance by the market, without local search."""
    problem = problem_of(instance)
    relaxation = relax(problem)
    chosen = best_categories(problem, relaxation, min(count_categories(problem), MAX_LISTED))
    found = [measured(instance, owner) for owner in clear(problem, relaxation.v, chosen)]
    share = chosen[:, :-1] / instance.num_workers
    entropy = -(share * np.log2(np.where(share > 0, share, 1.0))).sum(axis=1)
    text = (
        f"n = {len(chosen)} categories of one instance ({instance.num_jobs} jobs, {instance.num_workers} workers), the "
        "market's placement of each, no local search. No interval: every category is shown."
    )
    return Data(
        np.array([p.mean_jct_s for p in found]), np.array([p.jct_s.var() for p in found]),
        chosen[:, :-1].max(axis=1), entropy, text,
    )  # fmt: skip


def draw(figure_data: Data) -> Figure:
    """Four panels: JCT by rank, variance by largest share, entropies, JCT by entropy."""
    d = figure_data
    with mpl.rc_context(style.RC):
        figure = style.new_figure(9.0, 6.4)
        (rank, variance), (bits, by_bits) = figure.subplots(2, 2)
        rank.plot(np.arange(len(d.mean_s)), d.mean_s, ".", markersize=3, color="#0072B2")
        rank.set(xlabel="rank by promise", ylabel="mean JCT (s)", title="the order of promise", yscale="log")
        variance.plot(d.largest, d.variance_s2, ".", markersize=4, color="#D55E00", alpha=0.6)
        variance.set(
            xlabel="workers of the largest job", ylabel="variance of JCTs (s²)", title="category variance", yscale="log"
        )
        bits.hist(d.entropy_bits, bins=24, color="#009E73")
        bits.set(xlabel="entropy of the category (bits)", ylabel="categories", title="category entropy")
        by_bits.plot(d.entropy_bits, d.mean_s, ".", markersize=3, color="#882255")
        by_bits.set(
            xlabel="entropy of the category (bits)", ylabel="mean JCT (s)", title="JCT by entropy", yscale="log"
        )
        style.caption(figure, d.caption)
    return figure


FIGURE = style.FigureKind(data, draw)
