"""Gap to the optimum against CPU time: JPS, all categories, the market alone, branch and bound, HiGHS."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from rl_sched.plots import style
from rl_sched.policies.jps.arrays import problem_of
from rl_sched.policies.jps.categories import MAX_LISTED, best_categories, count_categories
from rl_sched.policies.jps.certificates import optimum
from rl_sched.policies.jps.instance import Instance
from rl_sched.policies.jps.market import clear
from rl_sched.policies.jps.milp import by_milp
from rl_sched.policies.jps.placement import Placement, measured, place
from rl_sched.policies.jps.relaxation import relax

#: Least gap that is drawn: the precision of the proof.
LEAST_PERCENT = 1e-7


class Point(NamedTuple):
    """One method at one setting."""

    method: str
    setting: str
    ms: float  #: median CPU time
    above: float  #: mean per cent above the optimum
    error: float  #: half a 95 % interval


class Data(NamedTuple):
    """Points, by method."""

    points: list[Point]
    caption: str


def _placing(samples: int, sampler: str) -> Callable[[int, Instance], Placement]:
    return lambda seed, instance: place(instance, samples=samples, rng=seed, sampler=sampler)


def data(
    instances: Sequence[Instance],
    *,
    samples: Sequence[int] = (1, 5, 10, 20, 40, 100),
    cuts: Sequence[int] = (6, 12, 25),
) -> Data:
    """Runs every method on every instance: JPS and multi-start with N samples, HiGHS with some tangents a job."""
    best = [optimum(i) for i in instances]

    def point(method: str, setting: str, run: Callable[[int, Instance], Placement]) -> Point:
        run(0, instances[0])  # compiles, if anything
        took, gaps = [], []
        for n, (instance, certificate) in enumerate(zip(instances, best, strict=True)):
            begin = time.process_time()
            found = run(n, instance)
            took.append(1e3 * (time.process_time() - begin))
            gaps.append(100.0 * certificate.gap(found))
        error = 1.96 * np.std(gaps, ddof=1) / np.sqrt(len(gaps)) if len(gaps) > 1 else np.nan
        return Point(method, setting, float(np.median(took)), float(np.mean(gaps)), float(error))

    points = [point("JPS", str(n), _placing(n, "promise")) for n in samples]
    points += [point("multi-start", str(n), _placing(n, "random")) for n in samples]
    points.append(point("market, best category", "", lambda _, i: _by_market(i, 1)))
    points.append(point("market, all categories", "", lambda _, i: _by_market(i, MAX_LISTED)))
    points.append(point("branch and bound", "", lambda _, i: optimum(i).best))
    points += [point("MILP (HiGHS)", str(n), _by_milp(n)) for n in cuts]
    text = (
        f"n = {len(instances)} instances; time: median CPU time, warm; gap: mean, bars: 95 % normal intervals over "
        f"instances. Numbers: samples N, of HiGHS tangents a job. A gap of zero is drawn at {LEAST_PERCENT:g} %."
    )
    return Data(points, text)


def _by_milp(cuts: int) -> Callable[[int, Instance], Placement]:
    return lambda _, instance: measured(instance, by_milp(instance, cuts)[0])


def _by_market(instance: Instance, most: int) -> Placement:
    """The best of the market's placements of the most promising categories, without local search."""
    problem = problem_of(instance)
    relaxation = relax(problem)
    chosen = best_categories(problem, relaxation, min(count_categories(problem), most))
    found = [measured(instance, owner) for owner in clear(problem, relaxation.v, chosen)]
    return min(found, key=lambda p: p.mean_jct_s)


def draw(figure_data: Data) -> Figure:
    """One line a method on logarithmic axes."""
    with mpl.rc_context(style.RC):
        figure = style.new_figure(6.8, 4.4)
        ax = figure.subplots()
        for n, method in enumerate(dict.fromkeys(p.method for p in figure_data.points)):
            own = [p for p in figure_data.points if p.method == method]
            above = np.maximum([p.above for p in own], LEAST_PERCENT)
            low = np.minimum([p.error for p in own], 0.9 * above)
            bars = np.array([low, [p.error for p in own]])
            ax.errorbar(
                [max(p.ms, 1e-2) for p in own], above, yerr=bars, fmt="o-", markersize=4,
                color=style.OTHERS[n], label=method, capsize=2, linewidth=1.0,
            )  # fmt: skip
            for p, y in zip(own, above, strict=True):
                ax.annotate(p.setting, (max(p.ms, 1e-2), y), xytext=(3, 4), textcoords="offset points", fontsize=7)
        ax.set(
            xscale="log",
            yscale="log",
            xlabel="CPU time (ms)",
            ylabel="mean JCT above the optimum (%)",
            title="Gap against time",
        )
        ax.legend()
        style.caption(figure, figure_data.caption)
    return figure


FIGURE = style.FigureKind(data, draw)
