"""Runs in MLflow's database for the view History: hybrid simulations, trainings, whatever was tracked."""

from __future__ import annotations

from typing import Any

from rl_sched.dashboard.catalogue import Places
from rl_sched.errors import RlSchedError
from rl_sched.tracking.runs import read_curves, read_runs
from rl_sched.tracking.store import Store

#: Points of one metric that are told.
MAX_POINTS = 200


def list_runs(places: Places, limit: int) -> dict[str, Any]:
    """The newest runs, JSON-ready; ``note`` says why there are none if the database cannot be read."""
    try:
        found = read_runs(Store(places.data).database, limit)
    except RlSchedError as error:
        return {"runs": [], "note": str(error)}
    return {"runs": [{**run._asdict(), "metrics": dict(run.metrics)} for run in found], "note": None}


def read_run(places: Places, run_id: str) -> dict[str, Any]:
    """``[step, value]`` of every metric of one run.

    Raises:
        ConfigError: There is no such run.
        RlSchedError: The database cannot be read.
    """
    curves = read_curves(Store(places.data).database, run_id, MAX_POINTS)
    return {"id": run_id, "curves": {name: [list(point) for point in points] for name, points in curves.items()}}
