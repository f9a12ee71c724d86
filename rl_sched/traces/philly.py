"""Reader of the Philly log (Microsoft, 2017) in its flattened CSV form: ``timestamp,duration,num_gpus,...,cluster``.

The log has no job names, no users, no status and no GPU type: failed and killed jobs are in it with their real run
time, and ``cluster`` is a virtual cluster of one machine room. Rows that are equal in every field are kept, since
nothing tells a duplicate from a twin.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rl_sched.errors import ConfigError, TraceError
from rl_sched.registry import did_you_mean
from rl_sched.traces.reading import EMPTY_LINE, GANG_TOO_LARGE, Audit, file_stamp, gang_size, positive, read_table
from rl_sched.workload import Workload

#: Folder of trace files; the log is looked for below it.
TRACES_VARIABLE = "RL_SCHED_TRACES"
DEFAULT_FILE = "philly/philly_2017-09_10.csv.gz"

_COLUMNS = ("timestamp", "duration", "num_gpus", "cluster")
_TIMESTAMP_LENGTH = len("2017-10-09 07:01:55")
_EPOCH = datetime(1970, 1, 1)


class _Log(NamedTuple):
    """The whole file, parsed. n rows in order of submission."""

    workload: Workload
    first_s: float  # submission of row 0, seconds since 1970 on the log's own clock
    empty_lines: int
    ignored_columns: tuple[str, ...]


@dataclass(frozen=True)
class PhillyTrace:
    """Jobs of the Philly log, of one virtual cluster and one period if wanted; times from the first kept arrival.

    ``path`` may be plain or gzipped. Without it the file is ``$RL_SCHED_TRACES/philly/philly_2017-09_10.csv.gz``.
    """

    path: str | None = None
    vc: str | None = None  # a name of the column ``cluster``; None: all of them
    start: str | None = None  # ISO date or time; jobs submitted at or after it
    end: str | None = None  # ... and before this one
    max_gpus: int | None = None  # larger gangs are dropped and counted
    load_scale: float = 1.0  # jobs arrive so many times as fast

    def load(self, seed: int = 0) -> Workload:
        """Returns the selected jobs; the seed plays no part.

        Raises:
            TraceError: No file, or a row of it cannot be read (file, line and field are named).
            ConfigError: ``start``, ``end`` or ``vc`` mean nothing here.
            WorkloadError: Nothing is left of the log.
        """
        log = _read(*self._key())
        keep, _ = self._select(log)
        return log.workload.take(keep).scale_load(self.load_scale)

    def audit(self) -> Audit:
        """What became of every row of the file."""
        path, stamp = self._key()
        log = _read(path, stamp)
        keep, dropped = self._select(log)
        rows = len(log.workload) + log.empty_lines
        dropped = {EMPTY_LINE: log.empty_lines, **dropped}
        counts = {reason: count for reason, count in dropped.items() if count}
        return Audit(path, rows, int(keep.sum()), counts, log.ignored_columns)

    def available(self) -> str | None:
        """None, or the sentence that says why the file cannot be read."""
        try:
            self._key()
        except TraceError as error:
            return str(error)
        return None

    def _key(self) -> tuple[str, tuple[int, int]]:
        """Path and stamp of the file."""
        if self.path is not None:
            return self.path, file_stamp(self.path)
        folder = os.environ.get(TRACES_VARIABLE)
        if not folder or not (Path(folder) / DEFAULT_FILE).is_file():
            raise TraceError(
                f"The Philly log must be given by path=..., or lie at {DEFAULT_FILE} under the folder named by the "
                f"environment variable {TRACES_VARIABLE}, which is {folder if folder else 'not set'}. "
                f"Set {TRACES_VARIABLE} to the folder that holds philly/."
            )
        path = str(Path(folder) / DEFAULT_FILE)
        return path, file_stamp(path)

    def _select(self, log: _Log) -> tuple[np.ndarray, dict[str, int]]:
        """Mask of the kept rows (n,) and rows dropped per reason; a row counts for the first reason that applies."""
        jobs = log.workload
        tests: dict[str, np.ndarray] = {}
        if self.vc is not None:
            name = str(self.vc)  # YAML reads a name of digits as a number
            if name not in jobs.vc_names:
                raise ConfigError(f"Unknown virtual cluster {name!r}. {did_you_mean(name, jobs.vc_names)}")
            tests["other virtual cluster"] = jobs.vc != jobs.vc_names.index(name)
        # Differences from the first row are whole seconds, hence exact.
        if self.start is not None:
            tests["before start"] = jobs.submit_s < _date("start", self.start) - log.first_s
        if self.end is not None:
            tests["at or after end"] = jobs.submit_s >= _date("end", self.end) - log.first_s
        if self.max_gpus is not None:
            tests[GANG_TOO_LARGE] = jobs.num_gpus > self.max_gpus
        keep = np.ones(len(jobs), dtype=bool)
        dropped: dict[str, int] = {}
        for reason, out in tests.items():
            dropped[reason] = int((keep & out).sum())
            keep &= ~out
        return keep, dropped


def _date(name: str, text: str) -> float:
    """Seconds since 1970 on the log's clock, which has no zone."""
    try:
        moment = datetime.fromisoformat(str(text))
        return (moment - _EPOCH).total_seconds()
    except (ValueError, TypeError):
        raise ConfigError(
            f"philly: {name} must be an ISO date or time without a zone, as '2017-10-02' or '2017-10-02 06:00:00'; "
            f"it is {text!r}."
        ) from None


def _timestamp(text: str) -> float:
    if len(text) != _TIMESTAMP_LENGTH:
        raise ValueError
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is not None:
        raise ValueError
    return (moment - _EPOCH).total_seconds()


@lru_cache(maxsize=4)
def _read(path: str, stamp: tuple[int, int]) -> _Log:
    """The parsed file; ``stamp`` only serves to read a changed file again."""
    table = read_table(path, _COLUMNS)
    submit = np.array(table.column("timestamp", _timestamp, "a time 'YYYY-MM-DD HH:MM:SS'"))
    duration = table.column("duration", positive, "a time in seconds > 0")
    gang = table.column("num_gpus", gang_size, "a whole number >= 1")
    names, vc = np.unique(table.column("cluster", str.strip, "a name"), return_inverse=True)
    first_s = float(submit.min())
    workload = Workload.build(
        submit - first_s, duration, gang, vc=vc, vc_names=[str(name) for name in names], source=path
    )
    return _Log(workload, first_s, table.empty_lines, tuple(c for c in table.header if c not in _COLUMNS))
