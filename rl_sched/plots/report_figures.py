"""All figures of a report: what ``rl_sched.evaluation.report.write_report`` takes as ``draw``."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from rl_sched.evaluation.findings import Report, ScenarioReport
from rl_sched.evaluation.scores import ALL_WORKLOADS
from rl_sched.plots import FIGURES, style

#: More lines than this in one distribution plot hide each other.
MAX_LEARNED_LINES = 4
RULE_LINES = ("min_min", "sjf_backfill", "fifo_backfill", "random")


def draw_report(report: Report, table: pd.DataFrame, curves: pd.DataFrame | None, out_dir: Path) -> list[Path]:
    """Draws forest plot, distribution of completion times and, given ``curves``, learning curves of every scenario.

    Args:
        report: Of ``table``.
        table: Tidy rows.
        curves: ``arm, train_seed, steps, seconds, val_score`` and optionally ``scenario``.
        out_dir: An existing folder.

    Returns:
        PNG files ``FIGURE_SCENARIO.png``.
    """
    files = []
    for s in report.scenarios:
        own = table[table["scenario"] == s.scenario]
        lines = [name for name in (s.best_rule, s.sjf) if name]
        if any(r.score.value == r.score.value for r in s.rows):  # not nan
            captions = [c for c in s.captions if "n = " in c]
            title = f"Scenario {s.scenario}"
            figure = FIGURES.load("intervals")(
                s.rows, lines=lines, captions=captions, objective=s.objective, title=title
            )
            files.append(style.save(figure, out_dir / f"intervals_{s.scenario}.png"))
        if curves is not None and not (mine := _of(curves, s.scenario)).empty:
            title = f"Learning curves, scenario {s.scenario}"
            figure = FIGURES.load("learning_curves")(mine, objective=s.objective, title=title)
            files.append(style.save(figure, out_dir / f"learning_curves_{s.scenario}.png"))
        if policies := _policies(s, own):
            figure = FIGURES.load("jct_cdf")(own, policies, title=f"Job completion times, scenario {s.scenario}")
            files.append(style.save(figure, out_dir / f"jct_cdf_{s.scenario}.png"))
    return files


def _of(curves: pd.DataFrame, scenario: str) -> pd.DataFrame:
    return curves[curves["scenario"] == scenario] if "scenario" in curves.columns else curves


def _policies(s: ScenarioReport, table: pd.DataFrame) -> list[str]:
    """The best arms and the usual rules, as far as their distributions are in the table."""
    there = set(table.loc[table["eval_seed"] == ALL_WORKLOADS, "policy"])
    arms = [r.name for r in s.rows if r.learned and r.name in there][:MAX_LEARNED_LINES]
    rules = [r for r in RULE_LINES if r in there] or [r.name for r in s.rows if not r.learned and r.name in there][:4]
    return [*arms, *rules]
