"""From the marks of a ledger to tidy rows, the report and the best checkpoints."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from rl_sched.config import content_id
from rl_sched.evaluation.comparison import display
from rl_sched.evaluation.console import text_table
from rl_sched.evaluation.protocol import baselines, choose_seeds, evaluate
from rl_sched.evaluation.report import Draw, ReportPaths, write_report
from rl_sched.provenance import package_hash
from rl_sched.scenarios import SCENARIOS
from rl_sched.sweeps.facts import collect
from rl_sched.sweeps.ledger import Ledger, write_text
from rl_sched.sweeps.objectives import text
from rl_sched.sweeps.plan import Cell, Plan
from rl_sched.sweeps.trial import CURVE, ROWS_BEST, ROWS_LAST, judge
from rl_sched.tracking.spool import JsonlSpool


class Candidate(NamedTuple):
    """An arm on a scenario, in a search with its best configuration, and its finished training runs."""

    arm: str
    scenario: str
    searched: dict[str, Any]
    done: list[Cell]
    cpu_s: float
    value: float  #: mean over training seeds of the best VAL score

    @property
    def title(self) -> str:
        """For a reader."""
        searched = ", ".join(f"{p}={v:.3g}" if isinstance(v, float) else f"{p}={v}" for p, v in self.searched.items())
        return display(self.arm) + (f" ({searched})" if searched else "")


class Best(NamedTuple):
    """The winner of a scenario, chosen on VAL."""

    scenario: str
    candidate: Candidate
    checkpoint: Path
    seed: int


def candidates(plan: Plan, scenarios: Sequence[str], ledger: Ledger) -> list[Candidate]:
    """Every arm and scenario that has at least one finished training run, in the order of the plan."""
    found = []
    for scenario in scenarios:
        for arm in plan.arm_settings():
            searched = _best_configuration(plan, arm, scenario, ledger) if plan.search else {}
            if searched is None:
                continue
            cells = [plan.cell(arm, scenario, seed, searched) for seed in plan.seeds]
            done = [(cell, outcome) for cell in cells if (outcome := ledger.outcome(cell)) is not None]
            if done:
                cpu_s = sum(outcome.cpu_s for _, outcome in done)
                value = statistics.fmean(outcome.objective for _, outcome in done)
                found.append(Candidate(arm, scenario, searched, [cell for cell, _ in done], cpu_s, value))
    return found


def best_of(found: Sequence[Candidate], ledger: Ledger) -> list[Best]:
    """The best arm of each scenario by its mean VAL score, among those with the most finished training seeds."""
    out = []
    for scenario in dict.fromkeys(c.scenario for c in found):
        rivals = [c for c in found if c.scenario == scenario and math.isfinite(c.value)]
        most = max((len(c.done) for c in rivals), default=0)
        rivals = [c for c in rivals if len(c.done) == most]
        if not rivals:
            continue
        winner = min(rivals, key=lambda c: c.value)
        outcomes = [(cell, ledger.outcome(cell)) for cell in winner.done]
        usable = [(cell, o) for cell, o in outcomes if o is not None and o.checkpoint is not None]
        if usable:
            cell, outcome = min(usable, key=lambda pair: pair[1].objective)
            out.append(Best(scenario, winner, ledger.folder(cell) / str(outcome.checkpoint), cell.seed))
    return out


def report_sweep(
    plan: Plan,
    found: Sequence[Candidate],
    ledger: Ledger,
    folder: Path,
    *,
    winners: Mapping[str, str],
    failed: Sequence[Cell],
    notes: Sequence[str],
    draw: Draw | None,
) -> ReportPaths:
    """Evaluates the rules, joins them with the rows of all finished trials, and writes the report.

    Args:
        plan: The plan.
        found: At least one candidate.
        ledger: The sweep's folder.
        folder: Where the report goes.
        winners: Scenario -> arm chosen on VAL.
        failed: Cells that failed.
        notes: Sentences above the tables.
        draw: Draws the figures.
    """
    for c in found:
        for cell in c.done:
            _judge_once(cell, ledger)
    best, last = _rows(found, ledger, ROWS_BEST), _rows(found, ledger, ROWS_LAST)
    scenarios = list(dict.fromkeys(c.scenario for c in found))
    rules = [_rule_rows(plan, scenario, ledger) for scenario in scenarios]
    costs = pd.DataFrame(
        [(c.arm, c.scenario, "done", cell.steps, c.cpu_s / len(c.done)) for c in found for cell in c.done]
        + [(cell.arm, cell.scenario, "failed", 0, 0.0) for cell in failed],
        columns=["arm", "scenario", "status", "steps", "cpu_s"],
    )
    arms = {c.arm for c in found}
    return write_report(
        pd.concat([*(rows for _, rows in best), *rules], ignore_index=True),
        folder,
        title=f"Sweep {plan.name}",
        reference_arm=plan.report.reference if plan.report.reference in arms else None,
        curves=_curves(found, ledger),
        winners=winners,
        last=pd.concat([rows for _, rows in last], ignore_index=True),
        notes=[plan.question, *notes, *_searched_notes(found), *_code_notes(found, ledger)],
        costs=costs,
        sweep=collect(plan, scenarios, best, ledger),
        draw=draw,
    )


def console_table(paths: ReportPaths) -> str:
    """The main table of a report for a terminal, one block a scenario."""
    blocks = []
    for scenario in json.loads(paths.json.read_text())["scenarios"]:
        rules = [name for name in dict.fromkeys((scenario["sjf"], scenario["best_rule"])) if name]
        rows = []
        for row in scenario["rows"]:
            versus = [row["versus"].get(rule) for rule in rules]
            cells = [_interval(c["difference_pct"], "+.1f") if c else "" for c in versus]
            rows.append([display(row["name"]) if row["learned"] else f"{row['name']} (rule)", _score(row), *cells])
        header = [f"scenario {scenario['scenario']}", "score [95 %]", *(f"vs {rule} %" for rule in rules)]
        blocks.append(text_table(header, rows) + "\n" + "\n".join(f"- {c}" for c in scenario["conclusions"]))
    return "\n\n".join(blocks)


def note_text(paths: ReportPaths, limit: int = 7500) -> str:
    """The beginning of the report without its figures, short enough for MLflow's description of a run."""
    lines = [line for line in paths.markdown.read_text().splitlines() if not line.startswith("![")]
    text = ""
    for line in lines:
        if len(text) + len(line) > limit:
            return f"{text}\n(The whole report is among the artifacts.)"
        text += f"{line}\n"
    return text


def _best_configuration(plan: Plan, arm: str, scenario: str, ledger: Ledger) -> dict[str, Any] | None:
    from rl_sched.sweeps.study import best_configuration

    return best_configuration(plan, arm, scenario, ledger)


def _rows(found: Sequence[Candidate], ledger: Ledger, file: str) -> list[tuple[Cell, pd.DataFrame]]:
    """Every finished training run with its tidy rows, under the names of the plan."""
    tables = []
    for c in found:
        for cell in c.done:
            table = pd.read_csv(ledger.folder(cell) / file)
            # The same cell may have been trained under another arm's name in an earlier plan.
            tables.append((cell, table.assign(policy=c.arm, scenario=c.scenario, train_seed=cell.seed)))
    return tables


def _rule_rows(plan: Plan, scenario: str, ledger: Ledger) -> pd.DataFrame:
    names = plan.report.policies or None
    key = content_id([list(names or []), scenario, plan.report.episodes, package_hash()])
    file = ledger.root / "rules" / f"{scenario}-{key}.csv"
    if not file.is_file():
        problem = SCENARIOS.create(scenario)
        table = evaluate(
            baselines(problem, names), problem, choose_seeds(problem, "report", plan.report.episodes, at_most=True)
        )
        file.parent.mkdir(exist_ok=True)
        write_text(file, table.to_csv(index=False))
    return pd.read_csv(file)


def _curves(found: Sequence[Candidate], ledger: Ledger) -> pd.DataFrame | None:
    tables = []
    for c in found:
        for cell in c.done:
            file = ledger.folder(cell) / CURVE
            if file.is_file():
                tables.append(pd.read_csv(file).assign(arm=c.arm, scenario=c.scenario, train_seed=cell.seed))
    return pd.concat(tables, ignore_index=True) if tables else None


def _searched_notes(found: Sequence[Candidate]) -> list[str]:
    return [
        f"Scenario {c.scenario}: the search chose {c.title}, {text(c.scenario, c.value)} on VAL."
        for c in found
        if c.searched
    ]


def _code_notes(found: Sequence[Candidate], ledger: Ledger) -> list[str]:
    """Says so if the training runs were not all made by the code that writes the report."""
    hashes = [ledger.code_hash(cell) for c in found for cell in c.done]
    old = [code for code in hashes if code != package_hash()]
    if not old:
        return []
    return [
        f"{len(old)} of {len(hashes)} training runs were made by another version of the code than the present one "
        f"({package_hash()}): {', '.join(sorted(set(old)))}."
    ]


def _judge_once(cell: Cell, ledger: Ledger) -> None:
    """Opens REPORT for a cell that a search chose, unless its rows are there; its run gets the figures too."""
    folder = ledger.folder(cell)
    if (folder / ROWS_BEST).is_file() and (folder / ROWS_LAST).is_file():
        return
    metrics = judge(cell, folder)
    spool = JsonlSpool(folder / "spool.jsonl")
    run = spool.start_run(cell.id, name=cell.title, kind="trial")
    spool.log_metrics(run, metrics, cell.steps)
    spool.log_file(run, folder / ROWS_BEST)
    spool.end_run(run, "FINISHED")
    spool.close()


def _interval(estimate: dict[str, float | None], spec: str) -> str:
    value, low, high = (estimate[k] for k in ("value", "low", "high"))
    if value is None:
        return "none"
    return f"{value:{spec}}" if low is None or high is None else f"{value:{spec}} [{low:{spec}}, {high:{spec}}]"


def _score(row: dict[str, Any]) -> str:
    value = row["score"]["value"]
    return _interval(row["score"], ",.1f" if value is None or abs(value) >= 10 else ".3f")
