"""What it is worth to know the topology: mean JCT saved, against the bandwidth between nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from rl_sched.plots import style
from rl_sched.policies.jps.communication import crossing
from rl_sched.policies.jps.generate import generate, two_levels
from rl_sched.policies.jps.instance import Instance
from rl_sched.policies.jps.placement import Placement, measured, place

AWARE = "the topology"
#: What a placement may know instead, and how it is drawn.
BLIND = {"a flat network": "#0072B2", "no network": "#D55E00"}


class Data(NamedTuple):
    """k bandwidths."""

    gbps: tuple[float, ...]
    saved: dict[str, np.ndarray]  #: what the other placement knows -> (k,) mean per cent of its mean JCT saved
    error: dict[str, np.ndarray]  #: the same -> (k,) half a 95 % interval
    crossing: dict[str, np.ndarray]  #: what a placement knows -> (k,) share of the jobs on several nodes
    caption: str


def blind(instance: Instance) -> dict[str, Instance]:
    """The instance of a topology as those see it who do not know it, by the names of ``BLIND``."""
    t = instance.topology
    assert t is not None
    own = np.minimum(instance.link_bytes_per_s, t.node_bytes_per_s[t.node])
    flat = Instance.build(instance.throughput, instance.work_samples, instance.traffic_bytes, own, instance.batch)
    return dict(zip(BLIND, (flat, Instance.build(instance.throughput, instance.work_samples)), strict=True))


def data(
    gbps: Sequence[float], *, num_jobs: int = 4, nodes: int = 4, node_size: int = 4, seeds: int = 24, samples: int = 40
) -> Data:
    """Places the same jobs at every bandwidth, knowing more or less, and measures all by the same topology."""
    names = [AWARE, *BLIND]
    jct_s = np.zeros((len(names), len(gbps), seeds))
    crossed = np.zeros((len(names), len(gbps)))
    for n, bandwidth in enumerate(gbps):
        topology = two_levels(nodes, node_size, bandwidth)
        for seed in range(seeds):
            instance = generate(
                ("base", "affinity")[seed // 2 % 2], num_jobs, nodes * node_size, seed, topology=topology
            )  # fmt: skip
            seen = {AWARE: instance, **blind(instance)}
            for m, name in enumerate(names):
                found = measured(instance, place(seen[name], samples=samples, rng=seed).owner)
                jct_s[m, n, seed] = found.mean_jct_s
                crossed[m, n] += _on_several_nodes(instance, found) / seeds
    saved = {name: 100.0 * (1.0 - jct_s[0] / jct_s[m]) for m, name in enumerate(names) if name != AWARE}
    text = (
        f"n = {seeds} instances a point: {num_jobs} jobs on {nodes} nodes of {node_size} workers, two nodes a switch, "
        f"switches half as wide as their nodes; gradients of 10 to 400 MB, ring, N = {samples}. "
        "A flat network: every worker has its node's link for itself. Bands: 95 % normal "
        "intervals of the means over instances, paired."
    )
    return Data(
        tuple(gbps),
        {name: rows.mean(axis=1) for name, rows in saved.items()},
        {name: 1.96 * rows.std(axis=1, ddof=1) / np.sqrt(seeds) for name, rows in saved.items()},
        dict(zip(names, crossed, strict=True)),
        text,
    )


def _on_several_nodes(instance: Instance, found: Placement) -> float:
    assert instance.topology is not None
    mine = found.owner[None, :] == np.arange(instance.num_jobs)[:, None]
    return float(crossing(instance.topology, mine).any(axis=1).mean())


def draw(figure_data: Data) -> Figure:
    """What is saved, and below how many jobs lie on several nodes."""
    d = figure_data
    with mpl.rc_context(style.RC):
        figure = style.new_figure(6.6, 5.2)
        top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
        for name, color in BLIND.items():
            low, high = d.saved[name] - d.error[name], d.saved[name] + d.error[name]
            top.fill_between(d.gbps, low, high, color=color, alpha=0.15, linewidth=0)
            top.plot(d.gbps, d.saved[name], "o-", markersize=3, color=color, label=f"against placing for {name}")
        top.axhline(0, color="#888888", linewidth=0.8)
        top.set(xscale="log", ylabel="mean JCT saved (%)", title="What knowing the topology is worth")
        top.legend()
        for name, color in {AWARE: "#000000", **BLIND}.items():
            bottom.plot(d.gbps, 100 * d.crossing[name], "o-", markersize=3, color=color, label=f"placed for {name}")
        bottom.set(
            xlabel="bandwidth of a node's link (Gb/s)",
            ylabel="jobs on several\nnodes (%)",
            ylim=(-5, 160),
            yticks=(0, 50, 100),
        )
        bottom.set_xticks(d.gbps, [f"{g:g}" for g in d.gbps])
        bottom.minorticks_off()
        bottom.legend(ncols=3, loc="upper left")
        style.caption(figure, d.caption)
    return figure


FIGURE = style.FigureKind(data, draw)
