"""The body of a real trial: train, then judge the best and the last checkpoint on REPORT workloads, greedily.

In a search, REPORT is not for choosing: only the configuration that it chose is judged, at the end of the sweep.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from rl_sched.config import ExperimentConfig, build
from rl_sched.errors import SweepError
from rl_sched.sweeps.cell import Cell
from rl_sched.sweeps.goals import SECTION
from rl_sched.sweeps.inheriting import CURVE_LINES, TRAIN, inherit
from rl_sched.sweeps.ledger import Outcome, write_text
from rl_sched.sweeps.objectives import cost
from rl_sched.sweeps.worker import VAL_METRIC, Report

if TYPE_CHECKING:
    from rl_sched.rl.training import Progress

#: Tidy rows of the two checkpoints, and the VAL curve, in a cell's folder.
ROWS_BEST, ROWS_LAST, CURVE = "rows_best.csv", "rows_last.csv", "curve.csv"


def run_trial(cell: Cell, folder: Path, report: Report) -> Outcome:
    """Trains a cell from its newest checkpoint to its last step and evaluates it.

    Args:
        cell: What to run.
        folder: Where checkpoints (``train/``), rows and the VAL curve go.
        report: Told of progress.

    Returns:
        The best VAL score as a cost (of a member of a population the newest), and, unless a search made the cell, what
        ``judge`` returns.

    Raises:
        SweepError: Training ended before its last step.
    """
    from rl_sched.rl.training import train

    experiment = build(ExperimentConfig, cell.experiment)
    if cell.population:
        return _take_over(cell, folder)
    if cell.parent is not None:
        inherit(folder, cell.parent, cell.experiment)

    def on_progress(progress: Progress) -> bool:
        metrics = {_sectioned(name): value for name, value in progress.metrics.items()}
        if progress.validated and progress.val_score is not None:
            metrics[VAL_METRIC] = cost(cell.scenario, progress.val_score)
        report(progress.steps, {name: float(value) for name, value in metrics.items() if math.isfinite(value)})
        return progress.steps < cell.steps

    result = train(experiment, folder / TRAIN, on_progress=on_progress, resume=True)
    if result.stopped_early and result.steps < cell.steps:
        raise SweepError(
            f"A trial must train to its last step; it was stopped after {result.steps:,} of {cell.steps:,}. "
            "Repeat the command: it goes on from the checkpoint."
        )
    write_text(folder / CURVE, pd.DataFrame(result.curve).to_csv(index=False))
    metrics = {"time/train_s": result.seconds}
    checkpoint = str(result.checkpoint.resolve().relative_to(folder.resolve()))
    files: tuple[str, ...] = (checkpoint, CURVE)
    if not cell.searched:
        metrics |= judge(cell, folder)
        files = (checkpoint, ROWS_BEST, CURVE)
    if cell.goals:
        metrics |= measure_goals(cell, folder)
    objective = cost(cell.scenario, result.best_val)
    if cell.until is not None:
        newest = result.curve[-1]["val_score"]
        objective = math.inf if newest is None else cost(cell.scenario, newest)
    return Outcome(objective, metrics, result.steps, result.seconds, checkpoint, files)


def _take_over(cell: Cell, folder: Path) -> Outcome:
    """The result of a population: the best checkpoint on the best member's way, judged on REPORT."""
    assert cell.parent is not None
    inherit(folder, cell.parent, None)
    train = folder / TRAIN
    curve = [json.loads(line) for line in (train / CURVE_LINES).read_text().splitlines()]
    write_text(folder / CURVE, pd.DataFrame(curve).to_csv(index=False))
    best = json.loads((train / "best" / "meta.json").read_text())
    metrics = judge(cell, folder)
    files = (f"{TRAIN}/best", ROWS_BEST, CURVE)
    return Outcome(
        *(cost(cell.scenario, float(best["best_score"])), metrics, cell.steps, float(best["seconds"])),
        checkpoint=f"{TRAIN}/best",
        files=files,
    )


def measure_goals(cell: Cell, folder: Path) -> dict[str, float]:
    """The metrics that a search aims at, of the best checkpoint on the VAL workloads, as ``val/NAME``."""
    from rl_sched.evaluation.protocol import choose_seeds, evaluate, summary
    from rl_sched.rl.learned_policy import LearnedPolicy
    from rl_sched.scenarios import SCENARIOS

    scenario = SCENARIOS.create(cell.scenario)
    seeds = choose_seeds(scenario, "val", int(cell.experiment["train"]["val_episodes"]), at_most=True)
    found = summary(evaluate({cell.arm: LearnedPolicy.load(folder / TRAIN / "best")}, scenario, seeds))
    return {f"{SECTION}/{name}": found[name] for name in cell.goals if math.isfinite(found.get(name, math.nan))}


def judge(cell: Cell, folder: Path) -> dict[str, float]:
    """Evaluates both checkpoints of a trained cell on REPORT and writes their rows; each is an opening of REPORT.

    Args:
        cell: A cell whose training has ended.
        folder: Its folder.

    Returns:
        Every metric as ``report/NAME`` (best checkpoint) and ``report_last/NAME`` (last checkpoint).
    """
    from rl_sched.evaluation.openings import record_opening
    from rl_sched.evaluation.protocol import choose_seeds, evaluate, summary
    from rl_sched.rl.learned_policy import LearnedPolicy
    from rl_sched.scenarios import SCENARIOS

    scenario = SCENARIOS.create(cell.scenario)
    seeds = choose_seeds(scenario, "report", cell.report_episodes, at_most=True)
    metrics: dict[str, float] = {}
    for name, file, prefix in (("best", ROWS_BEST, "report"), ("last", ROWS_LAST, "report_last")):
        checkpoint = folder / TRAIN / name
        policy = LearnedPolicy.load(checkpoint)
        record_opening(checkpoint, cell.scenario, len(seeds))
        rows = evaluate({cell.arm: policy}, scenario, seeds)
        write_text(folder / file, rows.to_csv(index=False))
        metrics.update({f"{prefix}/{name}": value for name, value in summary(rows).items() if math.isfinite(value)})
    return metrics


def _sectioned(name: str) -> str:
    """A metric's name with a section: the user interface shows one section of charts per prefix."""
    if name.startswith("val_"):
        return f"eval/{name}"
    return f"time/{name}" if name == "steps_per_s" else f"train/{name.removeprefix('train_')}"
