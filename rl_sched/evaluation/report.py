"""The report: tidy rows -> the ablation table, marginal effects and conclusions -> Markdown, JSON and figures.

``build_report`` makes plain data; Markdown and JSON are two writings of it. Figures are drawn by the ``draw``
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
from rl_sched.evaluation.comparison import SEEDS, Comparison, Marginal, Row, compare, display, interval_text, marginal
from rl_sched.evaluation.findings import Costs, Report, ScenarioReport
from rl_sched.evaluation.markdown import to_markdown
from rl_sched.evaluation.protocol import SJF
from rl_sched.evaluation.scores import MEAN_JCT, Objective, check_table, objective_of


class ReportPaths(NamedTuple):
    """What ``write_report`` wrote."""

    markdown: Path
    json: Path
    rows_csv: Path
    figures: list[Path]


#: Draws figures of a report into a folder: (report, tidy rows, learning curves or None, folder) -> files.
Draw = Callable[[Report, pd.DataFrame, pd.DataFrame | None, Path], list[Path]]


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
        costs: One row a training run: ``arm, status ("done" or "failed"), cpu_s``, optionally ``scenario``.
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
        _conclusions(rows, effects, winner, sjf, best_rule, objective),
        _captions(rows, episodes, objective),
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
            int((runs["status"] == "done").sum()), int((runs["status"] == "failed").sum()), float(runs["cpu_s"].sum())
        )
        for arm, runs in costs.groupby("arm", sort=False)
    }


def _versus_sentence(name: str, c: Comparison, what: str, objective: Objective) -> str:
    size = f"{name} against {what} ({c.other}): {interval_text(c.difference_pct)} in {objective.name}"
    return f"{size}, {c.verdict} (n = {c.difference_pct.n} {c.over})."


def _conclusions(
    rows: Sequence[Row],
    effects: Sequence[Marginal],
    winner: str | None,
    sjf: str | None,
    best_rule: str | None,
    objective: Objective,
) -> list[str]:
    out = [m.conclusion for m in effects]
    learned = [r for r in rows if r.learned and not math.isnan(r.score.value)]
    if learned:
        chosen = next((r for r in learned if r.name == winner), None)
        best = chosen or learned[0]
        if len(learned) > 1:
            others = [r for r in learned if r is not best]
            out.append(_chosen_arm(best, others) if chosen else _best_arm(best, others))
        name = display(best.name) + (", chosen on VAL," if chosen else "")
        if sjf and sjf in best.versus:
            out.append(_versus_sentence(name, best.versus[sjf], "SJF", objective))
        if best_rule and best_rule != sjf and best_rule in best.versus:
            c = best.versus[best_rule]
            wins = c.verdict == "better"
            out.append(
                _versus_sentence(name, c, "the best rule", objective)
                + ("" if wins else " It does not beat the best rule, so it is not yet a better scheduler.")
            )
    for row in rows:
        if row.num_unfinished and objective == MEAN_JCT:
            out.append(f"{display(row.name)} left {row.num_unfinished} jobs unfinished: it has no mean JCT to compare.")
    return out


def _best_arm(best: Row, followers: Sequence[Row]) -> str:
    """Names the arms that cannot be told from the best one (their own interval against it holds zero)."""
    against = [(r, r.versus[best.name]) for r in followers if best.name in r.versus]
    same = [r.name for r, c in against if c.difference_pct.holds_zero]
    name, n = display(best.name), best.score.n
    if not same:
        return f"Best arm: {name}; every other arm is worse (pairwise 95 % intervals, n = {n} {best.over})."
    if len(same) == len(followers):
        return f"Best arm: inconclusive. {name} is ahead, but no other arm can be told from it (n = {n} {best.over})."
    return f"Best arm: inconclusive. {name} is ahead, but cannot be told from {_some(same)} (n = {n} {best.over})."


def _chosen_arm(chosen: Row, others: Sequence[Row]) -> str:
    """Says how the arm that was chosen on VAL stands among the others."""
    against = [(r, r.versus[chosen.name]) for r in others if chosen.name in r.versus]
    same = [r.name for r, c in against if c.difference_pct.holds_zero]
    better = [r.name for r, c in against if c.verdict == "better"]
    parts = [f"cannot be told from {_some(same)}"] * bool(same) + [f"is worse than {_some(better)}"] * bool(better)
    found = " and ".join(parts) or "every other arm is worse"
    name, n = display(chosen.name), chosen.score.n
    return f"Arm chosen on VAL: {name}; on these workloads {'it ' * bool(parts)}{found} (n = {n} {chosen.over})."


def _some(names: Sequence[str], limit: int = 4) -> str:
    more = f" and {len(names) - limit} more arms" if len(names) > limit else ""
    return "; ".join(display(name) for name in names[:limit]) + more


def _captions(rows: Sequence[Row], episodes: int, objective: Objective) -> list[str]:
    out = []
    gain = "below" if objective.lower_is_better else "above"
    replicated = [r for r in rows if r.over == SEEDS]
    if replicated:
        counts = sorted({r.score.n for r in replicated})
        n = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        methods = "; ".join(dict.fromkeys(r.score.method for r in replicated))
        out.append(
            f"Arms: n = {n} training seeds, each scored by its {objective.name} over the same {episodes} workloads; "
            f"{methods}."
        )
        if counts[0] < st.MIN_SEEDS_FOR_BOOTSTRAP:
            smallest_p = 2 / 2 ** counts[0]
            out.append(
                f"Fewer than {st.MIN_SEEDS_FOR_BOOTSTRAP} training seeds are a screening, not a claim: intervals are "
                f"Student's t around the mean, and with {counts[0]} seeds no sign-flip p-value can fall below "
                f"{smallest_p:g}. Run at least {st.MIN_SEEDS_FOR_BOOTSTRAP} seeds for a claim."
            )
        out.append(
            "Differences are paired (arms by training seed, against rules on the same workloads), in % of the other's "
            f"{objective.name}, {gain} zero = better; intervals are for each difference alone; p: sign-flip "
            "permutation, Holm-adjusted over the arms."
        )
    if any(r.learned and r.over != SEEDS for r in rows):
        out.append(
            "A learned policy with one training seed (n = 1): its intervals are over workloads only and say nothing "
            "about another training run."
        )
    rule = next((r for r in rows if not r.learned), None)
    if rule is not None:
        out.append(f"Rules are not trained: n = {rule.score.n} workloads; {rule.score.method}.")
    return out


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
    draw: Draw | None = None,
) -> ReportPaths:
    """Writes ``report.md``, ``report.json``, the rows as CSV and, with ``draw``, the figures into ``out_dir``.

    Args:
        table, title, reference_arm, notes, costs, winners, last, resamples: See ``build_report``.
        out_dir: Made if it is missing.
        curves: Learning curves, one row a validation: ``arm, train_seed, steps, seconds, val_score``.
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
    figures = draw(report, table, curves, out_dir) if draw is not None else []
    report = dataclasses.replace(report, figures=[f.name for f in figures])
    paths = ReportPaths(out_dir / "report.md", out_dir / "report.json", out_dir / "rows.csv", figures)
    paths.markdown.write_text(to_markdown(report))
    paths.json.write_text(json.dumps(plain(report), indent=1) + "\n")
    table.to_csv(paths.rows_csv, index=False)
    if last is not None:
        last.to_csv(out_dir / "rows_last.csv", index=False)
    return paths


__all__ = ["Costs", "Draw", "Report", "ReportPaths", "ScenarioReport", "build_report", "plain", "write_report"]
