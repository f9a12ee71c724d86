"""Finished sweeps, read from their ledgers: nothing is computed anew and nothing is written."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rl_sched.dashboard.catalogue import Places
from rl_sched.errors import ConfigError, RlSchedError
from rl_sched.evaluation.comparison import display
from rl_sched.sweeps.ledger import Ledger, read_json, read_outcome
from rl_sched.sweeps.trial import CURVE
from rl_sched.tracking.store import Store
from rl_sched.tracking.versions import read_versions

#: Points of a learning curve that are told.
MAX_POINTS = 200
#: Columns of the table and axes of the Pareto fronts: metric of a trial on REPORT -> name with unit.
METRICS = {
    "mean_jct_s": "mean JCT (s)",
    "p95_jct_s": "p95 JCT (s)",
    "mean_bounded_slowdown": "mean slowdown",
    "utilisation_frac": "utilisation",
    "jain_user_frac": "Jain (users)",
    "energy_kwh": "energy (kWh)",
    "gpu_cost_usd": "GPU cost ($)",
}


def list_sweeps(places: Places) -> list[dict[str, Any]]:
    """All sweeps below the data folder, newest first."""
    out = []
    for folder in _folders(places):
        plan = read_json(folder / "plan.json") or {}
        cells = sorted((folder / "cells").glob("*/cell.json"))
        out.append(
            {
                "id": folder.name,
                "question": plan.get("question", ""),
                "trials": len(cells),
                "done": sum((cell.parent / "done.json").is_file() for cell in cells),
                "failed": sum((cell.parent / "failed.json").is_file() for cell in cells),
                "running": Ledger(folder).is_running() if (folder / ".lock").is_file() else False,
                "changed_s": folder.stat().st_mtime,
            }
        )
    return sorted(out, key=lambda row: -row["changed_s"])


def read_sweep(places: Places, name: str) -> dict[str, Any]:
    """The trials of one sweep by scenario and arm, their learning curves, and the Pareto front of cost and score.

    Raises:
        ConfigError: No listed sweep has this name.
    """
    folder = next((folder for folder in _folders(places) if folder.name == name), None)
    if folder is None:
        raise ConfigError("No sweep of this name is listed by GET /api/sweeps. Reload the list.")
    trials, curves = [], []
    for file in sorted((folder / "cells").glob("*/cell.json")):
        cell, outcome = read_json(file), read_outcome(file.parent)
        if cell is None:
            continue
        key = {"arm": display(cell["arm"]), "arm_id": cell["arm"], "scenario": cell["scenario"], "seed": cell["seed"]}
        if outcome is not None:
            metrics = {name: outcome.metrics.get(f"report/{name}") for name in METRICS}
            row = {**key, "objective": _finite(outcome.objective), "cpu_s": outcome.cpu_s, "steps": outcome.steps}
            trials.append({**row, **metrics})
        points = _curve(file.parent / CURVE)
        if points:
            curves.append({**key, "points": points})
    scenarios = list(dict.fromkeys(trial["scenario"] for trial in trials))
    return {
        "id": name,
        "question": (read_json(folder / "plan.json") or {}).get("question", ""),
        "metrics": METRICS,
        "scenarios": [
            {"scenario": scenario, "arms": _arms([t for t in trials if t["scenario"] == scenario])}
            for scenario in scenarios
        ],
        "curves": curves,
    }


def list_models(places: Places) -> dict[str, Any]:
    """Registered policies, version by version, from MLflow's registry."""
    try:
        versions = read_versions(Store(places.data).database)
    except RlSchedError as error:
        return {"models": [], "note": str(error)}
    rows = [
        {
            "model": v.name,
            "version": v.version,
            "aliases": list(v.aliases),
            "scenario": v.tags.get("scenario"),
            "val_score": _number(v.tags.get("val_score")),
            "objective": v.tags.get("objective"),
            "steps": _number(v.tags.get("steps")),
        }
        for v in versions
    ]
    return {"models": rows, "note": None}


def _folders(places: Places) -> list[Path]:
    root = Store(places.data).sweeps
    return sorted(f for f in root.glob("*") if (f / "cells").is_dir()) if root.is_dir() else []


def _arms(trials: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over seeds of every arm, best first; ``front`` marks the arms that no other beats in score and CPU time."""
    from rl_sched.dashboard.race import look_of

    arms = []
    for arm in dict.fromkeys(t["arm_id"] for t in trials):
        own = [t for t in trials if t["arm_id"] == arm]
        means = {name: _mean([t[name] for t in own]) for name in ("objective", "cpu_s", *METRICS)}
        seeds = [t["objective"] for t in own]
        arms.append({"arm": own[0]["arm"], "seeds": len(own), "scores": seeds, **means, **look_of(arm)})
    for one in arms:
        one["front"] = not any(_beats(other, one) for other in arms)
    return sorted(arms, key=lambda a: math.inf if a["objective"] is None else a["objective"])


def _beats(other: dict[str, Any], one: dict[str, Any]) -> bool:
    if one["objective"] is None:
        return True
    if other["objective"] is None:
        return False
    no_worse = other["objective"] <= one["objective"] and other["cpu_s"] <= one["cpu_s"]
    return no_worse and (other["objective"], other["cpu_s"]) != (one["objective"], one["cpu_s"])


def _curve(file: Path) -> list[list[float]]:
    """``[steps, seconds, VAL score]`` of every validation."""
    try:
        with file.open(newline="") as text:
            rows = [[float(row[name]) for name in ("steps", "seconds", "val_score")] for row in csv.DictReader(text)]
    except (OSError, KeyError, ValueError):
        return []
    rows = [row for row in rows if all(map(math.isfinite, row))]
    return rows[:: max(1, -(-len(rows) // MAX_POINTS))]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
