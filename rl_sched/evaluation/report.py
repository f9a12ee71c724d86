"""The report: tidy rows -> the ablation table, marginal effects and verdicts -> Markdown, LaTeX, HTML, JSON, figures.

``build_report`` makes plain data; the files are writings of it. Figures are drawn by the ``draw``
function that the caller hands over (``rl_sched.plots.report_figures.draw_report``): plots lie above this layer.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from rl_sched.errors import ConfigError
from rl_sched.evaluation import statistics as st
from rl_sched.evaluation.blocks import Block, Picture
from rl_sched.evaluation.comparison import Row, compare, marginal
from rl_sched.evaluation.document import document
from rl_sched.evaluation.findings import Costs, Drawn, Report, ScenarioReport
from rl_sched.evaluation.html import to_html
from rl_sched.evaluation.latex import to_latex
from rl_sched.evaluation.markdown import to_markdown
from rl_sched.evaluation.material import Material, SweepFacts
from rl_sched.evaluation.protocol import SJF
from rl_sched.evaluation.scores import Objective, check_table, objective_of
from rl_sched.evaluation.verdicts import captions, conclusions


class ReportPaths(NamedTuple):
    """What ``write_report`` wrote."""

    markdown: Path
    latex: Path
    html: Path
    json: Path
    rows_csv: Path
    figures: list[Path]


#: Draws the figures of a report into a folder.
Draw = Callable[[Report, Material, Path], list[Drawn]]


def build_report(
    table: pd.DataFrame,
    *,
    title: str,
    reference_arm: str | None = None,
    notes: Sequence[str] = (),
    costs: pd.DataFrame | None = None,
    winners: Mapping[str, str] | None = None,
    last: pd.DataFrame | None = None,
    resamples: int = st.RESAMPLES,
) -> Report:
    """Judges every policy of every scenario in a table of tidy rows.

    Args:
        table: Columns ``policy, scenario, train_seed, eval_seed, metric, value``; arms of an ablation are named
            ``factor=level,factor=level``.
        title: Of the report.
        reference_arm: The arm that the others are compared with; by default the first one in the table.
        notes: Sentences to print above the tables.
        costs: One row a training run: ``arm, status ("done" or "failed"), cpu_s``, optionally ``scenario, steps``.
        winners: Scenario -> the arm that was chosen on VAL, of which the conclusions speak; by default the first one.
        last: Rows of the same arms with their last checkpoints, if ``table`` holds their best ones.
        resamples: Of every bootstrap.

    Raises:
        ConfigError: A table is malformed, or the reference arm is not in it.
    """
    for rows in (table,) if last is None else (table, last):
        check_table(rows)
    if reference_arm is not None and reference_arm not in set(table["policy"]):
        raise ConfigError(f"The reference arm must be one of {sorted(set(table['policy']))}; it is {reference_arm!r}.")
    scenarios = [
        _scenario(
            str(name), rows, reference_arm, _costs_of(costs, str(name)), (winners or {}).get(str(name)), last, resamples
        )
        for name, rows in table.groupby("scenario", sort=False)
    ]
    return Report(title, scenarios, list(notes))


def _scenario(
    name: str,
    table: pd.DataFrame,
    reference: str | None,
    costs: dict[str, Costs],
    winner: str | None,
    last: pd.DataFrame | None,
    resamples: int,
) -> ScenarioReport:
    objective = objective_of(table)
    plain = compare(table, objective=objective, resamples=2)  # order and names; the intervals follow below
    arms = [r.name for r in plain if r.learned]
    rules = [r for r in plain if not r.learned]
    if reference not in arms:
        in_table_order = [p for p in table["policy"].unique() if p in arms]
        reference = in_table_order[0] if len(in_table_order) > 1 else None
    sjf = SJF if any(r.name == SJF for r in rules) else None
    best_rule = next((r.name for r in rules if not math.isnan(r.score.value)), None)
    others = [o for o in (reference, sjf, best_rule) if o is not None]
    if len(arms) > 1:
        others.append(winner if winner in arms else arms[0])  # the headline arm against the others
    rows = compare(table, others=list(dict.fromkeys(others)), objective=objective, resamples=resamples)
    factors = dict.fromkeys(f for r in rows for f in r.factors)
    effects = [m for f in factors if (m := marginal(rows, f, objective, resamples)) is not None]
    episodes = int(table.loc[table["eval_seed"] >= 0, "eval_seed"].nunique())
    return ScenarioReport(
        name,
        episodes,
        reference,
        sjf,
        best_rule,
        objective,
        rows,
        costs,
        effects,
        conclusions(rows, effects, reference, winner, sjf, best_rule, objective),
        captions(rows, episodes, objective),
        _last_rows(name, table, last, [r for r in (sjf, best_rule) if r is not None], objective, resamples),
    )


def _last_rows(
    name: str,
    table: pd.DataFrame,
    last: pd.DataFrame | None,
    rules: Sequence[str],
    objective: Objective,
    resamples: int,
) -> list[Row]:
    """The arms with their last checkpoints, compared with SJF and the best rule."""
    if last is None:
        return []
    both = pd.concat([last[last["scenario"] == name], table[table["policy"].isin(rules)]], ignore_index=True)
    rows = compare(both, others=list(dict.fromkeys(rules)), objective=objective, resamples=resamples)
    return [row for row in rows if row.learned]


def _costs_of(costs: pd.DataFrame | None, scenario: str) -> dict[str, Costs]:
    if costs is None:
        return {}
    missing = [c for c in ("arm", "status", "cpu_s") if c not in costs.columns]
    if missing:
        raise ConfigError(f"The costs must have the columns arm, status and cpu_s; {', '.join(missing)} is missing.")
    if "scenario" in costs.columns:
        costs = costs[costs["scenario"] == scenario]
    return {
        str(arm): Costs(
            done=int((runs["status"] == "done").sum()),
            failed=int((runs["status"] == "failed").sum()),
            steps=int(runs["steps"].sum()) if "steps" in runs.columns else 0,
            cpu_s=float(runs["cpu_s"].sum()),
        )
        for arm, runs in costs.groupby("arm", sort=False)
    }


def plain(value: Any) -> Any:
    """Dataclasses, named tuples and numbers as JSON data; nan and infinity become null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value.item() if hasattr(value, "item") else value


def write_report(
    table: pd.DataFrame,
    out_dir: Path,
    *,
    title: str,
    reference_arm: str | None = None,
    curves: pd.DataFrame | None = None,
    notes: Sequence[str] = (),
    costs: pd.DataFrame | None = None,
    winners: Mapping[str, str] | None = None,
    last: pd.DataFrame | None = None,
    resamples: int = st.RESAMPLES_FINAL,
    sweep: SweepFacts | None = None,
    draw: Draw | None = None,
) -> ReportPaths:
    """Writes ``report.md``, ``.tex``, ``.html``, ``.json``, the rows as CSV and, with ``draw``, the figures.

    Args:
        table, title, reference_arm, notes, costs, winners, last, resamples: See ``build_report``.
        out_dir: Made if it is missing.
        curves: Learning curves, one row a validation: ``arm, train_seed, steps, seconds, val_score``.
        sweep: What happened in the sweep that made the table.
        draw: Draws the figures, as ``rl_sched.plots.report_figures.draw_report`` does.
    """
    report = build_report(
        table,
        title=title,
        reference_arm=reference_arm,
        notes=notes,
        costs=costs,
        winners=winners,
        last=last,
        resamples=resamples,
    )
    out_dir.mkdir(parents=True, exist_ok=True)
    drawn = draw(report, Material(table, curves, sweep), out_dir) if draw is not None else []
    report = dataclasses.replace(report, figures=drawn)
    files = [out_dir / figure.file for figure in drawn]
    markdown, latex, html = write_document(document(report), out_dir, "report")
    paths = ReportPaths(markdown, latex, html, out_dir / "report.json", out_dir / "rows.csv", files)
    paths.json.write_text(json.dumps(plain(report), indent=1) + "\n")
    table.to_csv(paths.rows_csv, index=False)
    if last is not None:
        last.to_csv(out_dir / "rows_last.csv", index=False)
    return paths


def write_document(blocks: Sequence[Block], folder: Path, name: str, picture: Path | None = None) -> list[Path]:
    """Writes blocks as ``NAME.md``, ``NAME.tex`` and ``NAME.html`` into an existing folder.

    Args:
        blocks: What is said.
        folder: Where to.
        name: Of the files.
        picture: A figure in that folder, shown at the end.
    """
    shown = [*blocks, Picture(picture.name, name)] if picture is not None else list(blocks)
    texts = {"md": to_markdown(shown), "tex": to_latex(shown), "html": to_html(shown, folder)}
    paths = [folder / f"{name}.{suffix}" for suffix in texts]
    for path, text in zip(paths, texts.values(), strict=True):
        path.write_text(text)
    return paths


__all__ = ["Draw", "ReportPaths", "build_report", "plain", "write_document", "write_report"]
