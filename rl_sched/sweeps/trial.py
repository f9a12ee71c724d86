"""The body of a real trial: train, then judge the best and the last checkpoint on REPORT workloads, greedily.

In a search, REPORT is not for choosing: only the configuration that it chose is judged, at the end of the sweep.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from rl_sched.config import ExperimentConfig, build
from rl_sched.errors import SweepError
from rl_sched.sweeps.ledger import Outcome, write_text
from rl_sched.sweeps.objectives import cost
from rl_sched.sweeps.plan import Cell
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
        The best VAL score as a cost, and, unless a search made the cell, what ``judge`` returns.

    Raises:
        SweepError: Training ended before its last step.
    """
    from rl_sched.rl.training import train

    experiment = build(ExperimentConfig, cell.experiment)

    def on_progress(progress: Progress) -> bool:
        metrics = {_sectioned(name): value for name, value in progress.metrics.items()}
        if progress.validated and progress.val_score is not None:
            metrics[VAL_METRIC] = cost(cell.scenario, progress.val_score)
        report(progress.steps, {name: float(value) for name, value in metrics.items() if math.isfinite(value)})
        return True

    result = train(experiment, folder / "train", on_progress=on_progress, resume=True)
    if result.stopped_early:
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
    return Outcome(cost(cell.scenario, result.best_val), metrics, result.steps, result.seconds, checkpoint, files)


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
        checkpoint = folder / "train" / name
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
