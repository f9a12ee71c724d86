"""How a trial continues from the checkpoint of another one: for populations (``population.py``)."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from rl_sched.errors import SweepError
from rl_sched.sweeps.ledger import write_text

#: Folder of checkpoints in a cell's folder, and its parts.
TRAIN, PARTS, CURVE_LINES = "train", ("best", "last"), "curve.jsonl"


def inherit(folder: Path, parent: str, experiment: dict[str, Any] | None) -> None:
    """Gives a cell its parent's checkpoints, unless it has checkpoints of its own.

    The whole folder is made beside its place and renamed, so that a kill leaves either nothing or all of it.

    Args:
        folder: The cell's folder; its parent's lies beside it.
        parent: Id of the parent cell.
        experiment: Settings that training goes on with from the parent's last state; None = the parent's.

    Raises:
        SweepError: The parent's checkpoints are gone.
    """
    target, source = folder / TRAIN, folder.parent / parent / TRAIN
    if target.is_dir():
        return
    if not all((source / part).is_dir() for part in PARTS):
        raise SweepError(
            f"A member of a population continues from its parent's checkpoints; {source} does not hold them. "
            "Remove the parent's folder and repeat the command: it is trained again."
        )
    fresh = folder / f".{TRAIN}.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    for part in PARTS:
        shutil.copytree(source / part, fresh / part)
    if (source / CURVE_LINES).is_file():
        shutil.copyfile(source / CURVE_LINES, fresh / CURVE_LINES)
    if experiment is not None:
        # Of ``last`` alone: ``best`` stays what it was trained with.
        write_text(fresh / "last" / "experiment.json", json.dumps(experiment, indent=2) + "\n")
    fresh.rename(target)
