"""What a spool holds that MLflow has not seen yet, folded into one change for each run."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from rl_sched.tracking.spool import read_spool


class Point(NamedTuple):
    """One point of a metric."""

    name: str
    value: float
    time_ms: int  #: since 1970
    step: int


class Birth(NamedTuple):
    """How a run began."""

    name: str
    kind: str
    parent: str | None  #: key of the run that it belongs to
    time_ms: int  #: since 1970


@dataclass(slots=True)
class RunNews:
    """What changes in a run; the later of two equal names replaces the earlier in tags, and is dropped in params."""

    birth: Birth | None = None  #: None = the run began in what was read before
    points: list[Point] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    files: list[tuple[Path, str]] = field(default_factory=list)  #: file or folder, and the folder it goes to
    status: str | None = None  #: MLflow's word; None = as it was
    end_ms: int | None = None  #: since 1970, if ``status`` is an end


class News(NamedTuple):
    """What was read from a spool."""

    runs: dict[str, RunNews]  #: by key, in the order in which they began
    num_records: int
    offset: int  #: bytes, behind the last record


def read_news(path: Path, offset: int, known: Collection[str]) -> News:
    """Folds the records of a spool from a byte on.

    Args:
        path: The spool.
        offset: Where to begin.
        known: Keys of the runs that began before ``offset``.

    Raises:
        KeyError: A record belongs to a run that has not begun.
    """
    runs: dict[str, RunNews] = {}
    count = 0
    for record, behind in read_spool(path, offset):
        count, offset = count + 1, behind
        key, op, time_ms = record["run"], record["op"], int(record["time_s"] * 1000)
        run = runs.get(key)
        if run is None:
            if key not in known and op != "start":
                raise KeyError(f"{path}: {op!r} of the run {key!r}, which has not begun")
            run = runs[key] = RunNews()
        if op == "start":
            run.birth = Birth(record["name"], record["kind"], record["parent"], time_ms)
            run.tags.update(record["tags"])
        elif op == "continue":
            run.tags.update(record["tags"])
            run.status, run.end_ms = "RUNNING", None
        elif op == "metrics":
            run.points += [Point(name, value, time_ms, record["step"]) for name, value in record["values"].items()]
        elif op == "params":
            run.params = {**record["values"], **run.params}
        elif op == "tags":
            run.tags.update(record["values"])
        elif op == "file":
            run.files.append((path.parent / record["path"], record["folder"]))  # an absolute path stays itself
        elif op == "end":
            run.status, run.end_ms = record["status"], time_ms
    return News(runs, count, offset)
