"""How all figures look: one palette, one colour per policy everywhere, captions under every figure.

The colours of learned policies are of Okabe and Ito's and of Tol's colour-blind-safe sets; lines differ in dashes too.
"""

from __future__ import annotations

import textwrap
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure

from rl_sched.evaluation.comparison import parse_factors

Dashes = str | tuple[int, tuple[float, ...]]
DPI = 130
RC = {
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.labelsize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "lines.linewidth": 1.6,
    "figure.dpi": DPI,
}

SOLID: Dashes = "-"
DASHED: Dashes = (0, (5.0, 2.0))
DOTTED: Dashes = (0, (1.2, 1.6))
DASH_DOT: Dashes = (0, (6.0, 1.8, 1.2, 1.8))
LONG: Dashes = (0, (10.0, 2.5))

#: Rules: greys and earth tones, so that learned policies stand out; relatives share a hue and differ in dashes.
RULES: dict[str, tuple[str, Dashes]] = {
    "min_min": ("#000000", SOLID),
    "local_search": ("#000000", DASHED),
    "sjf_backfill": ("#666666", DASHED),
    "sjf": ("#666666", DOTTED),
    "index": ("#8C564B", DASH_DOT),
    "fifo_backfill": ("#999933", DASHED),
    "fifo": ("#999933", DOTTED),
    "best_fit": ("#B8860B", DASH_DOT),
    "smallest_area": ("#9C9C9C", DASH_DOT),
    "most_gpus": ("#9C9C9C", LONG),
    "fewest_gpus": ("#9C9C9C", DOTTED),
    "priority": ("#6B6B8A", LONG),
    "random": ("#C4C4C4", SOLID),
    "easy": ("#3D3D3D", DASHED),
    "conservative": ("#3D3D3D", DOTTED),
    "srtf": ("#A0522D", SOLID),
    "las": ("#A0522D", DASHED),
    "tiresias": ("#A0522D", DOTTED),
    "round_robin": ("#A0522D", LONG),
    "f1": ("#7A6A4F", SOLID),
    "f2": ("#7A6A4F", DASHED),
    "f3": ("#7A6A4F", DOTTED),
    "f4": ("#7A6A4F", DASH_DOT),
    "wfp3": ("#7A6A4F", LONG),
    "unicep": ("#B5A27C", SOLID),
    "qssf": ("#B5A27C", DASHED),
    "edf": ("#B5A27C", DOTTED),
    "power_aware": ("#5F7161", SOLID),
    "cost_aware": ("#5F7161", DASHED),
    "max_min_fairness": ("#4F5D75", SOLID),
    "finish_time_fairness": ("#4F5D75", DASHED),
    "min_makespan": ("#4F5D75", DOTTED),
    "gavel_fifo": ("#4F5D75", DASH_DOT),
    "allox": ("#4F5D75", LONG),
    "jps": ("#7B4B94", SOLID),
}
#: Strategies that split tasks between CPU and GPU (``rl_sched.hybrid``); two more share their names with rules.
SPLITTERS: dict[str, tuple[str, Dashes]] = {
    "oracle": ("#000000", DASHED),
    "hybrid_ml": ("#009E73", SOLID),
    "rl_agent": ("#0072B2", SOLID),
    "greedy": ("#E69F00", DASH_DOT),
    "cpu_only": ("#56B4E9", DOTTED),
    "gpu_only": ("#CC3377", LONG),
}
#: Learned policies with known settings: warm hues for one network, cool ones for the other; dashes by lookahead.
LEARNED: dict[str, str] = {"learned": "#0072B2"}
WARM = ("#E69F00", "#D55E00", "#CC3377", "#882255")
COOL = ("#56B4E9", "#0072B2", "#009E73", "#44449C")
NETWORKS = {"cross_attention": WARM, "mlp": COOL}
LOOKAHEADS = {"off": (0, SOLID), "per_gpu": (1, DASHED), "sorted": (2, DASH_DOT), "cdf": (3, DOTTED)}
#: For names that nobody foresaw: chosen by a hash of the name, so still the same everywhere.
OTHERS = ("#332288", "#88CCEE", "#117733", "#DDCC77", "#CC6677", "#AA4499", "#EE7733", "#0077BB", "#EE3377", "#009988")
OTHER_DASHES = (SOLID, DASHED, DASH_DOT, DOTTED)


class Look(NamedTuple):
    """How one policy is drawn."""

    color: str
    dashes: Dashes


def look(policy: str) -> Look:
    """The colour and dashes of a policy: a function of its name alone (for arms, of their settings in any order)."""
    if policy in RULES:
        return Look(*RULES[policy])
    if policy in SPLITTERS:
        return Look(*SPLITTERS[policy])
    if policy in LEARNED:
        return Look(LEARNED[policy], SOLID)
    values = set(parse_factors(policy).values())
    network, lookahead = values & set(NETWORKS), values & set(LOOKAHEADS)
    if len(values) == len(network) + len(lookahead) and values:
        shade, dashes = LOOKAHEADS[next(iter(lookahead))] if lookahead else (1, SOLID)
        return Look(NETWORKS[next(iter(network), "mlp")][shade], dashes)
    factors = sorted(parse_factors(policy).items())
    number = zlib.crc32(repr(factors or policy).encode())
    return Look(OTHERS[number % len(OTHERS)], OTHER_DASHES[number // len(OTHERS) % len(OTHER_DASHES)])


def label(policy: str) -> str:
    """A policy's name for a legend: the levels of an arm, without the names of its factors."""
    factors = parse_factors(policy)
    return ", ".join(factors.values()) if factors else policy


def new_figure(width: float, height: float) -> Figure:
    """A figure without a window, of the given size in inches."""
    with mpl.rc_context(RC):
        return Figure(figsize=(width, height), layout="constrained")


def caption(figure: Figure, text: str) -> None:
    """Small print under the figure: n and the interval method."""
    per_line = int(figure.get_figwidth() * 17.5)
    figure.supxlabel("\n".join(textwrap.wrap(text, per_line)), fontsize=7.0, color="#555555", x=0.01, ha="left")


def save(figure: Figure, path: Path) -> Path:
    """Writes a PNG (or what the suffix says) and returns its path."""
    figure.savefig(path, dpi=DPI)
    return path


@dataclass(frozen=True)
class FigureKind:
    """A figure: what it shows (``data``) and how (``draw``). Calling it does both."""

    data: Callable[..., Any]
    draw: Callable[[Any], Figure]

    def __call__(self, *args: Any, **kwargs: Any) -> Figure:
        with mpl.rc_context(RC):
            return self.draw(self.data(*args, **kwargs))
