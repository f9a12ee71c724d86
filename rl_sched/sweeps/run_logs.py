"""Training logs read back: ``curve.jsonl`` of run folders as one table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from rl_sched.errors import CheckpointError, ConfigError
from rl_sched.evaluation.scores import Objective, objective_named
from rl_sched.tracking.spool import flatten

CURVE = "curve.jsonl"
#: Settings that do not make another arm.
_SEED = "seed"


def read_runs(folders: Sequence[Path]) -> tuple[pd.DataFrame, Objective]:
    """The curves of several runs: a row a validation, with ``arm`` and ``train_seed``.

    Runs with the same settings but for the seed are one arm, named by the settings in which the arms differ.

    Args:
        folders: Of training runs, or cells of a sweep.

    Returns:
        The table, and what its ``val_score`` is.

    Raises:
        CheckpointError: A folder holds no log, or no checkpoint that tells its settings.
        ConfigError: Two runs are of the same settings and seed, or are judged by different metrics.
    """
    runs = [_read(folder) for folder in folders]
    settings = [{k: v for k, v in flat.items() if k != _SEED} for flat, _, _ in runs]
    varied = [key for key in settings[0] if len({repr(s.get(key)) for s in settings}) > 1]
    seen: dict[tuple[str, int], Path] = {}
    tables = []
    for folder, (flat, rows, _) in zip(folders, runs, strict=True):
        name = ",".join(f"{key}={flat.get(key)}" for key in varied) or str(flat["algo"])
        key = (name, int(flat[_SEED]))
        if key in seen:
            raise ConfigError(
                f"Every run must be given once; {seen[key]} and {folder} have equal settings and seeds. Leave one out."
            )
        seen[key] = folder
        tables.append(rows.assign(arm=name, train_seed=key[1]))
    metrics = {metric for _, _, metric in runs}
    if len(metrics) > 1:
        raise ConfigError(
            f"Runs of one figure must be judged by one metric; these are by {', '.join(sorted(metrics))}."
        )
    return pd.concat(tables, ignore_index=True), objective_named(metrics.pop())


def _read(folder: Path) -> tuple[dict[str, Any], pd.DataFrame, str]:
    """Flat settings, rows of the log, and the metric of the score."""
    home = next((f for f in (folder, folder / "train") if (f / CURVE).is_file()), None)
    if home is None:
        raise CheckpointError(
            f"{str(folder)!r} holds no {CURVE}, and neither does train/ in it. Give a training folder."
        )
    rows = pd.DataFrame([json.loads(line) for line in (home / CURVE).read_text().splitlines() if line.endswith("}")])
    for name in ("last", "best"):
        if (home / name / "experiment.json").is_file():
            flat = flatten(json.loads((home / name / "experiment.json").read_text()))
            meta = json.loads((home / name / "meta.json").read_text())
            return flat, rows, str(meta.get("objective", ""))
    raise CheckpointError(
        f"The checkpoints of {str(home)!r} are gone, so its settings are not known. Give another folder."
    )
