"""What the ledger and the spools of a sweep tell beside the scores: when and where runs ran, what a search tried."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from rl_sched.evaluation.material import Searched, Stretch, SweepFacts, TrainedRun
from rl_sched.evaluation.scores import ALL_WORKLOADS
from rl_sched.sweeps.importance import importance
from rl_sched.sweeps.ledger import Ledger, read_json
from rl_sched.sweeps.objectives import cost, objective_on
from rl_sched.sweeps.plan import Cell, Plan
from rl_sched.tracking.spool import read_spool

#: What a run's end in its spool is called here; a run that was stopped from outside says why in its tag ``outcome``.
_ENDS = {"FINISHED": "done", "FAILED": "failed"}
_STOPPED = ("pruned", "interrupted")


class _Begun(NamedTuple):
    """A stretch whose end has not been read yet."""

    time_s: float
    place: str


def collect(
    plan: Plan, scenarios: Sequence[str], done: Sequence[tuple[Cell, pd.DataFrame]], ledger: Ledger
) -> SweepFacts:
    """Everything.

    Args:
        plan: The plan.
        scenarios: Those that could run.
        done: The finished training runs of the report, with the tidy rows of their best checkpoints on REPORT.
        ledger: The sweep's folder.
    """
    runs = tuple(run for cell, rows in done if (run := _trained(cell, rows, ledger)) is not None)
    stretches = tuple(s for file in sorted(ledger.root.glob("cells/*/spool.jsonl")) for s in stretches_of(file, ledger))
    searches = tuple(_searched(plan, arm, scenario, ledger) for scenario in scenarios for arm in plan.arm_settings())
    return SweepFacts(runs, stretches, searches if plan.search else (), plan.max_concurrent)


def _trained(cell: Cell, rows: pd.DataFrame, ledger: Ledger) -> TrainedRun | None:
    outcome = ledger.outcome(cell)
    if outcome is None:
        return None
    own = rows[(rows["metric"] == objective_on(cell.scenario).metric) & (rows["eval_seed"] != ALL_WORKLOADS)]
    score = float("nan") if own.empty or own["value"].isna().any() else float(own["value"].mean())
    return TrainedRun(cell.arm, cell.scenario, cell.seed, cost(cell.scenario, outcome.objective), score)


def stretches_of(spool: Path, ledger: Ledger) -> Iterator[Stretch]:
    """The stretches of one training run: from every start or continuation to its end, until the run is finished.

    A process that was killed leaves no end: its stretch lasts until the last thing that it wrote.
    """
    about = read_json(spool.with_name("cell.json"))
    if about is None:
        return
    cell = Cell(**about)
    begun: _Begun | None = None
    last_s, reason = 0.0, ""

    def stretch(end_s: float, end: str) -> Stretch:
        assert begun is not None  # called only where something has begun
        return Stretch(cell.title, cell.arm, cell.scenario, begun.place, begun.time_s, end_s, end)

    for record, _ in read_spool(spool):
        kind = record["op"]
        if kind in ("start", "continue"):
            if begun is not None:
                yield stretch(last_s, "lost")
            tags = record.get("tags", {})
            begun, reason = _Begun(record["time_s"], str(tags.get("host", ""))), ""
        elif kind == "tags":
            reason = str(record["values"].get("outcome", reason))
        last_s = record["time_s"]
        if kind == "end" and begun is not None:
            end = _ENDS.get(record["status"]) or (reason if reason in _STOPPED else "interrupted")
            yield stretch(last_s, end)
            begun = None
            if end == "done":
                return  # what follows is the judging of what a search chose
    if begun is not None:
        yield stretch(last_s, "running" if ledger.is_running() else "lost")


def _searched(plan: Plan, arm: str, scenario: str, ledger: Ledger) -> Searched:
    """The configurations of which every training seed of the plan is finished: those with the full budget."""
    params = tuple(plan.search)
    tried: dict[str, dict[str, Any]] = {}
    for file in sorted(ledger.root.glob("cells/*/cell.json")):
        about = read_json(file) or {}
        same = (about.get("arm"), about.get("scenario")) == (arm, scenario)
        if same and set(about["searched"]) == set(params):
            tried[repr(sorted(about["searched"].items()))] = about["searched"]
    rows = []
    for searched in tried.values():
        outcomes = [ledger.outcome(plan.cell(arm, scenario, seed, searched)) for seed in plan.seeds]
        values = [outcome.objective for outcome in outcomes if outcome is not None]
        if len(values) == len(outcomes):
            rows.append({**searched, "value": sum(values) / len(values)})
    table = pd.DataFrame(rows, columns=[*params, "value"])
    log = tuple(path for path, dimension in plan.search.items() if dimension.log)
    shares, method = importance(table, plan.search)
    return Searched(arm, scenario, params, log, table, shares, method)
