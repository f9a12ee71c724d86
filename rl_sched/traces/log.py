"""A log of a real cluster as a trace: what all readers do once the file is read (choose jobs, count, rescale)."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from rl_sched.errors import ConfigError, TraceError, WorkloadError
from rl_sched.registry import did_you_mean
from rl_sched.traces.reading import GANG_TOO_LARGE, Audit
from rl_sched.workload import Workload

#: Folder of trace files; a reader's ``default_file`` is looked for below it.
TRACES_VARIABLE = "RL_SCHED_TRACES"
#: Reason for dropping the second row of a name.
TWICE = "name given before"
_EPOCH = datetime(1970, 1, 1)


class Log(NamedTuple):
    """Every usable job of a file, with what was left out on the way. Times on the log's own clock, >= 0."""

    jobs: Workload
    dropped: Mapping[str, int]  # reason -> rows (or jobs, see ``unit``) that are no usable job
    ignored_columns: tuple[str, ...] = ()
    unit: str = "rows"
    notes: tuple[str, ...] = ()


class Drops:
    """Counts the rows that make no job, and tells which are left. n rows; a row counts for its first reason."""

    def __init__(self, rows: int) -> None:
        self.keep = np.ones(rows, dtype=bool)  # (n,)
        self.counts: dict[str, int] = {}

    def drop(self, reason: str, out: object) -> None:
        """Drops the rows of the mask ``out`` (n,) that are still there."""
        gone = self.keep & np.asarray(out, dtype=bool)
        self.counts[reason] = self.counts.get(reason, 0) + int(gone.sum())
        self.keep &= ~gone

    def left(self, path: str) -> np.ndarray:
        """Indices of the rows left.

        Raises:
            TraceError: None is; the message says why.
        """
        rows = np.flatnonzero(self.keep)
        if rows.size == 0:
            why = ", ".join(f"{count} ({reason})" for reason, count in self.counts.items() if count)
            raise TraceError(
                f"{path}: a trace needs at least one usable job; of {self.keep.size} none is: "
                f"{why or 'the file is empty'}. Check that this is the right file."
            )
        return rows


def seen_before(names: Sequence[Hashable]) -> np.ndarray:
    """(n,) whether an earlier row has the same name: such a row is dropped as ``TWICE``."""
    first: dict[Hashable, int] = {}
    return np.array([first.setdefault(name, row) != row for row, name in enumerate(names)], dtype=bool)


@dataclass(frozen=True)
class LogTrace:
    """Parameters that every reader of a log has. A reader adds its own and implements ``_log``.

    The order is: drop what is outside the selection, sample, clip gangs, count time from the first kept arrival,
    set the load.

    Raises:
        ConfigError: No path was given, or a parameter is out of range.
    """

    default_file: ClassVar[str] = ""  # below $RL_SCHED_TRACES, used when no path is given
    needs: ClassVar[str] = "the file of the log"  # what path=... must name

    path: str = ""
    max_gpus: int | None = None  # larger gangs are dropped and counted
    clip_gpus: int | None = None  # larger gangs are cut down to this many GPUs, and counted in the notes
    sample: float = 1.0  # share of the selected jobs that is kept, drawn without replacement
    sample_seed: int = 0  # of that draw
    rebase: bool = True  # count time from the first kept arrival; False: the log's own clock
    load_scale: float = 1.0  # jobs arrive so many times as fast

    def __post_init__(self) -> None:
        if not self.path and not self.default_file:
            raise ConfigError(f"This trace needs path=..., {self.needs}; none was given.")
        in_range = {
            "sample": 0 < self.sample <= 1,
            "sample_seed": 0 <= self.sample_seed < 2**32,
            "clip_gpus": self.clip_gpus is None or self.clip_gpus >= 1,
            "load_scale": 0 < self.load_scale < float("inf"),
        }
        for field, ok in in_range.items():
            if not ok:
                raise ConfigError(
                    f"A trace needs 0 < sample <= 1, 0 <= sample_seed < 2^32, clip_gpus >= 1 and a finite "
                    f"load_scale > 0; {field} is {getattr(self, field)!r}."
                )

    def load(self, seed: int = 0) -> Workload:
        """Returns the selected jobs; the seed plays no part.

        Raises:
            TraceError: The file is missing or cannot be read (file, line, field and value are named).
            ConfigError: A parameter means nothing in this log.
            WorkloadError: Nothing is left of the log.
        """
        log = self._read_log()
        keep, _ = self._select(log)
        jobs = self._clipped(log.jobs.take(keep, rebase=self.rebase))
        # Scaling by 1 would round deadlines.
        return jobs if self.load_scale == 1 else jobs.scale_load(self.load_scale)

    def audit(self) -> Audit:
        """What became of every row of the file."""
        log = self._read_log()
        keep, dropped = self._select(log)
        counts = {reason: count for reason, count in {**log.dropped, **dropped}.items() if count}
        notes = log.notes
        cut = 0 if self.clip_gpus is None else int((log.jobs.num_gpus[keep] > self.clip_gpus).sum())
        if cut:
            notes = (*notes, f"{cut} gangs were clipped to {self.clip_gpus} GPUs.")
        read = len(log.jobs) + sum(log.dropped.values())
        return Audit(self.file(), read, int(keep.sum()), counts, log.ignored_columns, log.unit, notes)

    def available(self) -> str | None:
        """None, or the sentence that says why the file cannot be read."""
        try:
            path = self.file()
        except TraceError as error:
            return str(error)
        return None if Path(path).exists() else f"The trace file {path!r} must exist; it does not. Check the path."

    def file(self) -> str:
        """The path, or that of the default file.

        Raises:
            TraceError: No path was given and the default file is not there.
        """
        if self.path:
            return self.path
        folder = os.environ.get(TRACES_VARIABLE)
        if not folder or not (Path(folder) / self.default_file).exists():
            raise TraceError(
                f"This log must be given by path=..., or lie at {self.default_file} under the folder named by the "
                f"environment variable {TRACES_VARIABLE}, which is {folder if folder else 'not set'}. "
                f"Set {TRACES_VARIABLE} to the folder that holds {self.default_file}."
            )
        return str(Path(folder) / self.default_file)

    def _log(self) -> Log:
        """Reads the file (from a cache keyed by the file's stamp)."""
        raise NotImplementedError

    def _read_log(self) -> Log:
        try:
            return self._log()
        except TraceError:
            raise
        except WorkloadError as error:  # a value that is possible by itself, but not as a column of a workload
            raise TraceError(f"{self.file()}: {error}") from None

    def _tests(self, jobs: Workload) -> dict[str, np.ndarray]:
        """Reason -> mask (n,) of the jobs that the reader's own parameters leave out."""
        return {}

    def _select(self, log: Log) -> tuple[np.ndarray, dict[str, int]]:
        """Mask of the kept jobs (n,) and jobs dropped per reason; a job counts for the first reason that applies."""
        drops = Drops(len(log.jobs))
        for reason, out in self._tests(log.jobs).items():
            drops.drop(reason, out)
        if self.max_gpus is not None:
            drops.drop(GANG_TOO_LARGE, log.jobs.num_gpus > self.max_gpus)
        if self.sample < 1:
            rows = np.flatnonzero(drops.keep)
            # The legacy stream, whose draws are frozen for ever: the same jobs on every version of numpy, and the
            # ones that pandas' DataFrame.sample(frac, random_state) takes.
            rng = np.random.RandomState(self.sample_seed)
            chosen = rng.choice(rows.size, size=round(self.sample * rows.size), replace=False)
            out = np.ones(len(log.jobs), dtype=bool)
            out[rows[chosen]] = False
            drops.drop("not in the sample", out)
        return drops.keep, drops.counts

    def _clipped(self, jobs: Workload) -> Workload:
        if self.clip_gpus is None:
            return jobs
        gangs = np.minimum(jobs.num_gpus, self.clip_gpus)
        gangs.flags.writeable = False
        return replace(jobs, num_gpus=gangs)


def other_vc(jobs: Workload, vc: str | None) -> dict[str, np.ndarray]:
    """The test of a parameter ``vc``.

    Raises:
        ConfigError: The log has no virtual cluster of that name.
    """
    if vc is None:
        return {}
    name = str(vc)  # YAML reads a name of digits as a number
    if name not in jobs.vc_names:
        raise ConfigError(f"Unknown virtual cluster {name!r}. {did_you_mean(name, jobs.vc_names)}")
    return {"other virtual cluster": jobs.vc != jobs.vc_names.index(name)}


def outside_dates(jobs: Workload, start: str | None, end: str | None) -> dict[str, np.ndarray]:
    """The tests of parameters ``start`` (jobs submitted at or after it) and ``end`` (and before this one).

    Raises:
        ConfigError: They are no dates.
    """
    tests: dict[str, np.ndarray] = {}
    if start is not None:
        tests["before start"] = jobs.submit_s < _date("start", start)
    if end is not None:
        tests["at or after end"] = jobs.submit_s >= _date("end", end)
    return tests


def _date(field: str, text: str) -> float:
    """Seconds since 1970 on the log's clock, which has no zone."""
    try:
        moment = datetime.fromisoformat(str(text))
        return (moment - _EPOCH).total_seconds()
    except (ValueError, TypeError):
        raise ConfigError(
            f"{field} must be an ISO date or time without a zone, as '2017-10-02' or '2017-10-02 06:00:00'; "
            f"it is {text!r}."
        ) from None
