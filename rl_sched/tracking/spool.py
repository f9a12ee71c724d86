"""An append-only file of what was measured: one JSON object a line. The truth, of which MLflow is a view.

A process that is killed leaves at most one torn last line, which the next writer cuts off and which no reader ever
sees. A run that is continued from a checkpoint repeats some steps: a metric's steps only ever grow in the spool, so
repeated points are dropped when they are written.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rl_sched.tracking.tracker import Status, Tracker


def flatten(params: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Nested mappings as one level of dotted names."""
    flat: dict[str, object] = {}
    for key, value in params.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{name}."))
        else:
            flat[name] = value
    return flat


def read_spool(path: Path, offset: int = 0) -> Iterator[tuple[dict[str, Any], int]]:
    """Yields complete records from byte ``offset`` on, each with the offset behind it; unreadable lines are skipped."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict) and "op" in record:
                yield record, offset


def open_runs(path: Path) -> list[str]:
    """Keys of the runs in a spool that were started and not ended, in the order of their starts."""
    runs: dict[str, bool] = {}
    for record, _ in read_spool(path):
        if record["op"] in ("start", "continue"):
            runs[record["run"]] = True
        elif record["op"] == "end":
            runs[record["run"]] = False
    return [run for run, is_open in runs.items() if is_open]


def close_spool(path: Path, status: Status = "KILLED") -> int:
    """Ends every open run in a spool whose writer is gone; returns how many there were."""
    runs = open_runs(path)
    if runs:
        spool = JsonlSpool(path)
        for run in runs:
            spool.set_tags(run, {"outcome": "interrupted"})
            spool.end_run(run, status)
        spool.close()
    return len(runs)


class JsonlSpool(Tracker):
    """The ``Tracker`` that a process writes to: one file, one writer.

    Args:
        path: The file, created with its folder if it does not exist, continued if it does.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._runs: set[str] = set()
        self._params: set[tuple[str, str]] = set()
        self._last_step: dict[tuple[str, str], int] = {}
        end = 0
        for record, behind in read_spool(path):
            self._remember(record)
            end = behind
        self._file = path.open("ab", buffering=0)
        if self._file.tell() > end:
            # What follows the last readable record: a line torn by a kill.
            os.ftruncate(self._file.fileno(), end)

    def close(self) -> None:
        """Closes the file; the runs in it stay as they are."""
        self._file.close()

    def start_run(
        self, key: str, *, name: str, kind: str, parent: str | None = None, tags: Mapping[str, str] | None = None
    ) -> str:
        """See ``Tracker``."""
        if key in self._runs:
            self._write({"op": "continue", "run": key, "tags": dict(tags or {})})
        else:
            self._write(
                {"op": "start", "run": key, "name": name, "kind": kind, "parent": parent, "tags": dict(tags or {})}
            )
        return key

    def log_params(self, run: str, params: Mapping[str, object]) -> None:
        """See ``Tracker``."""
        new = {name: str(value) for name, value in flatten(params).items() if (run, name) not in self._params}
        if new:
            self._write({"op": "params", "run": run, "values": new})

    def log_metrics(self, run: str, values: Mapping[str, float], step: int, time_s: float | None = None) -> None:
        """See ``Tracker``."""
        new = {name: float(v) for name, v in values.items() if step > self._last_step.get((run, name), -1)}
        if new:
            self._write({"op": "metrics", "run": run, "step": int(step), "values": new}, time_s)

    def next_step(self, run: str) -> int:
        """The step after the last one of a run's metrics; 0 if it has none."""
        return max((step + 1 for (key, _), step in self._last_step.items() if key == run), default=0)

    def log_file(self, run: str, path: Path, folder: str = "") -> None:
        """See ``Tracker``. A path below the spool's folder is stored relative to it, so that the folder can move."""
        path = path.resolve()
        home = self.path.parent.resolve()
        stored = path.relative_to(home) if path.is_relative_to(home) else path
        self._write({"op": "file", "run": run, "path": str(stored), "folder": folder})

    def set_tags(self, run: str, tags: Mapping[str, str]) -> None:
        """See ``Tracker``."""
        self._write({"op": "tags", "run": run, "values": dict(tags)})

    def end_run(self, run: str, status: Status) -> None:
        """See ``Tracker``."""
        self._write({"op": "end", "run": run, "status": status})

    def _write(self, record: dict[str, Any], time_s: float | None = None) -> None:
        record["time_s"] = time.time() if time_s is None else time_s
        # One unbuffered write: a kill tears at most this line.
        self._file.write(json.dumps(record).encode() + b"\n")
        self._remember(record)

    def _remember(self, record: Mapping[str, Any]) -> None:
        run = record["run"]
        if record["op"] == "start":
            self._runs.add(run)
        elif record["op"] == "params":
            self._params.update((run, name) for name in record["values"])
        elif record["op"] == "metrics":
            for name in record["values"]:
                self._last_step[run, name] = record["step"]
