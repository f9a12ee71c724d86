"""All figures of a report: what ``rl_sched.evaluation.report.write_report`` takes as ``draw``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rl_sched.evaluation.comparison import display
from rl_sched.evaluation.findings import Drawn, Report, ScenarioReport
from rl_sched.evaluation.material import Material, SweepFacts
from rl_sched.evaluation.scores import ALL_WORKLOADS
from rl_sched.plots import FIGURES, style

#: More lines than this in one plot hide each other.
MAX_LEARNED_LINES = 4
RULE_LINES = ("min_min", "sjf_backfill", "fifo_backfill", "random")


class _Sheet(NamedTuple):
    """A figure before it is written."""

    name: str
    title: str
    figure: Figure


def draw_report(report: Report, material: Material, out_dir: Path) -> list[Drawn]:
    """Draws whatever there is something to draw from.

    Args:
        report: Of ``material.table``.
        material: Rows, learning curves (``arm, train_seed, steps, seconds, val_score`` and optionally ``scenario``),
            and what happened in the sweep.
        out_dir: An existing folder; gets ``FIGURE_SCENARIO.png`` and, for papers, the same as PDF.

    Returns:
        The PNG files.
    """
    drawn = []
    for s in report.scenarios:
        ending = re.sub(r"[^A-Za-z0-9_.-]+", "-", s.scenario)
        for sheet in _of_scenario(s, material):
            file = f"{sheet.name}_{ending}.png"
            drawn.append(_write(sheet, out_dir / file, s.scenario))
    if material.sweep is not None and material.sweep.stretches:
        figure = FIGURES.load("sweep_timeline")(material.sweep.stretches, material.sweep.slots, title=report.title)
        sheet = _Sheet("sweep_timeline", "what ran where and when", figure)
        drawn.append(_write(sheet, out_dir / "sweep_timeline.png", None))
    return drawn


def _write(sheet: _Sheet, path: Path, scenario: str | None) -> Drawn:
    style.save(sheet.figure, path)
    sheet.figure.set_layout_engine("none")  # the layout is found, and finding it again would take as long
    style.save(sheet.figure, path.with_suffix(".pdf"))
    return Drawn(path.name, f"{sheet.name.replace('_', ' ')}: {sheet.title}", scenario)


def _of_scenario(s: ScenarioReport, material: Material) -> Iterator[_Sheet]:
    table = material.table[material.table["scenario"] == s.scenario]
    where = f"scenario {s.scenario}"
    lines = [name for name in (s.best_rule, s.sjf) if name]
    if any(np.isfinite(r.score.value) for r in s.rows):
        figure = FIGURES.load("intervals")(
            s.rows, lines=lines, captions=[c for c in s.captions if "n = " in c], objective=s.objective,
            title=f"Scenario {s.scenario}",
        )  # fmt: skip
        yield _Sheet("intervals", f"every policy with its interval, {where}", figure)
    if s.reference and any(r.learned and s.reference in r.versus for r in s.rows):
        figure = FIGURES.load("forest")(
            s.rows, s.reference, objective=s.objective, title=f"Arms against {display(s.reference)}, {where}"
        )
        yield _Sheet("forest", f"arms against the reference, {where}", figure)
    others = [name for name in dict.fromkeys((s.reference, s.sjf, s.best_rule)) if name]
    if _replicated(s) and others:
        title = f"Probability of improvement, {where}"
        figure = FIGURES.load("improvement")(s.rows, others, objective=s.objective, title=title)
        yield _Sheet("improvement", f"probability of improvement, {where}", figure)
    yield from _distributions(s, table, where)
    curves = _of(material.curves, s.scenario)
    if curves is not None and not curves.empty:
        figure = FIGURES.load("learning_curves")(curves, objective=s.objective, title=f"Learning curves, {where}")
        yield _Sheet("learning_curves", f"VAL score over training, {where}", figure)
        best_first = curves.assign(order=curves["arm"].map({r.name: i for i, r in enumerate(s.rows)}))
        best_first = best_first.sort_values(["order", "train_seed", "steps"], kind="stable")
        figure = FIGURES.load("stability")(best_first, objective=s.objective, title=f"Stability of training, {where}")
        yield _Sheet("stability", f"VAL score, no-op share and entropy of every seed, {where}", figure)
    if material.sweep is not None:
        yield from _of_sweep(s, material.sweep, where)


def _distributions(s: ScenarioReport, table: pd.DataFrame, where: str) -> Iterator[_Sheet]:
    """Completion times, performance profile, trade-offs."""
    if policies := _policies(s, table):
        figure = FIGURES.load("jct_cdf")(table, policies, title=f"Job completion times, {where}")
        yield _Sheet("jct_cdf", f"distribution of completion times, {where}", figure)
    scored = {r.name for r in s.rows if not r.num_unfinished}
    arms = [r.name for r in s.rows if r.learned and r.name in scored][:MAX_LEARNED_LINES]
    rules = [r for r in dict.fromkeys((s.best_rule, *RULE_LINES)) if r in scored]
    if s.best_rule in scored and s.objective.lower_is_better:
        title = f"Performance profile, {where}"
        figure = FIGURES.load("performance_profile")(table, [*arms, *rules], s.best_rule, title=title)
        yield _Sheet("performance_profile", f"share of runs within a factor of the best rule, {where}", figure)
    if len(scored) > 1 and "energy_kwh" in set(table["metric"]):
        figure = FIGURES.load("pareto")(table, title=f"Trade-offs, {where}")
        yield _Sheet("pareto", f"fairness, energy and cost against completion time, {where}", figure)


def _of_sweep(s: ScenarioReport, sweep: SweepFacts, where: str) -> Iterator[_Sheet]:
    """What a sweep's ledger tells about one scenario."""
    runs = [r for r in sweep.runs if r.scenario == s.scenario]
    if any(np.isfinite([r.val, r.report]).all() for r in runs):
        figure = FIGURES.load("val_report")(runs, objective=s.objective, title=f"VAL against REPORT, {where}")
        yield _Sheet("val_report", f"VAL against REPORT, {where}", figure)
    searches = [one for one in sweep.searches if one.scenario == s.scenario]
    if any(one.importance for one in searches):
        figure = FIGURES.load("importance")(searches, title=f"Importance of the hyperparameters, {where}")
        yield _Sheet("importance", f"importance of the hyperparameters, {where}", figure)
    for number, one in enumerate((one for one in searches if not one.configurations.empty), start=1):
        title = f"Configurations of {display(one.arm)}, {where}"
        figure = FIGURES.load("parallel_coordinates")(one, objective=s.objective, title=title)
        yield _Sheet(f"parallel_coordinates_{number}", title, figure)


def _replicated(s: ScenarioReport) -> bool:
    """Whether an arm with several training seeds has something to be compared with."""
    return any(
        r.learned and len(r.seed_scores) > 1 and np.isfinite(list(r.seed_scores.values())).all() and r.versus
        for r in s.rows
    )


def _of(curves: pd.DataFrame | None, scenario: str) -> pd.DataFrame | None:
    if curves is None or "scenario" not in curves.columns:
        return curves
    return curves[curves["scenario"] == scenario]


def _policies(s: ScenarioReport, table: pd.DataFrame) -> list[str]:
    """The best arms and the usual rules, as far as their distributions are in the table."""
    there = set(table.loc[table["eval_seed"] == ALL_WORKLOADS, "policy"])
    arms = [r.name for r in s.rows if r.learned and r.name in there][:MAX_LEARNED_LINES]
    rules = [r for r in RULE_LINES if r in there] or [r.name for r in s.rows if not r.learned and r.name in there][:4]
    return [*arms, *rules]
