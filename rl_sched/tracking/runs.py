"""Runs and their curves, read from MLflow's database without MLflow: importing it takes two seconds."""

from __future__ import annotations

import contextlib
import math
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from rl_sched.errors import ConfigError, RlSchedError

#: Tags that say what a run is and whose part it is; see ``MlflowSink``.
_KIND, _PARENT = "kind", "mlflow.parentRunId"


class Run(NamedTuple):
    """One run, as MLflow knows it."""

    id: str
    experiment: str
    name: str
    kind: str  #: "sweep", "trial", "hybrid", ...; "" = not one of this project's
    parent: str | None  #: id of the run that it belongs to
    status: str  #: MLflow's word
    start_s: float  #: since 1970
    duration_s: float | None  #: None = it has not ended
    metrics: Mapping[str, float]  #: the latest value of each that is finite


class Point(NamedTuple):
    """One value of a metric."""

    step: int
    value: float


def read_runs(database: Path, limit: int) -> list[Run]:
    """The runs that were started last, newest first; none if there is no database. Deleted ones are left out.

    Raises:
        RlSchedError: The database cannot be read, or is not one of the pinned MLflow.
    """
    if not database.exists():
        return []
    with _opened(database) as db:
        rows = db.execute(
            "select r.run_uuid, e.name, coalesce(r.name, ''), r.status, r.start_time, r.end_time, "
            "(select value from tags t where t.run_uuid = r.run_uuid and t.key = ?), "
            "(select value from tags t where t.run_uuid = r.run_uuid and t.key = ?) "
            "from runs r join experiments e on e.experiment_id = r.experiment_id "
            "where r.lifecycle_stage = 'active' and e.lifecycle_stage = 'active' "
            "order by r.start_time desc, r.run_uuid limit ?",
            [_KIND, _PARENT, limit],
        ).fetchall()
        metrics: dict[str, dict[str, float]] = {row[0]: {} for row in rows}
        for run_id, own in metrics.items():
            found = db.execute("select key, value from latest_metrics where run_uuid = ? and not is_nan", [run_id])
            own.update((key, value) for key, value in found if _is_number(value))
    return [
        Run(
            id=run_id,
            experiment=experiment,
            name=name,
            kind=kind or "",
            parent=parent,
            status=status or "",
            start_s=(start_ms or 0) / 1e3,
            duration_s=None if end_ms is None or start_ms is None else (end_ms - start_ms) / 1e3,
            metrics=metrics[run_id],
        )
        for run_id, experiment, name, status, start_ms, end_ms, kind, parent in rows
    ]


def read_curves(database: Path, run_id: str, max_points: int) -> dict[str, list[Point]]:
    """Every metric of a run over its steps, thinned out to at most ``max_points`` and the last one.

    Raises:
        ConfigError: There is no such run.
        RlSchedError: The database cannot be read, or is not one of the pinned MLflow.
    """
    curves: dict[str, list[Point]] = {}
    missing = ConfigError("No run of this id is in MLflow's database. Reload the list of runs.")
    if not database.exists():
        raise missing
    with _opened(database) as db:
        if db.execute("select 1 from runs where run_uuid = ?", [run_id]).fetchone() is None:
            raise missing
        rows = db.execute(
            "select key, step, value from metrics where run_uuid = ? and not is_nan order by key, step, timestamp",
            [run_id],
        )
        for key, step, value in rows:
            if _is_number(value):
                curves.setdefault(key, []).append(Point(step, value))
    return {key: _thinned(points, max_points) for key, points in curves.items()}


@contextlib.contextmanager
def _opened(database: Path) -> Iterator[sqlite3.Connection]:
    try:
        with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as db:
            yield db
    except sqlite3.Error as error:
        raise RlSchedError(f"MLflow's database {database} cannot be read: {error}.") from error


def _is_number(value: float) -> bool:
    """MLflow stores infinities as the largest numbers that there are."""
    return math.isfinite(value) and abs(value) < 1e308


def _thinned(points: list[Point], most: int) -> list[Point]:
    stride = -(-len(points) // most)
    kept = points[::stride]
    return kept if kept[-1] == points[-1] else [*kept, points[-1]]
