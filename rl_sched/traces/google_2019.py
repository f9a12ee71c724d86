"""Reader of Google's log of 2019 (clusterdata-2019, Borg v3) as exported: JSON lines, or CSV with a header."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from rl_sched.errors import TraceError
from rl_sched.traces.borg import BorgTrace, Events, Step, Tasks, read_jobs
from rl_sched.traces.json_text import JsonObject, number_of, read_json, text
from rl_sched.traces.log import Log
from rl_sched.traces.reading import file_stamp, read_table, read_text, whole

#: Names of type 0, 1, 2, ...; not the numbers of 2011.
KINDS = (
    "SUBMIT", "QUEUE", "ENABLE", "SCHEDULE", "EVICT", "FAIL", "FINISH", "KILL", "LOST", "UPDATE_PENDING",
    "UPDATE_RUNNING",
)  # fmt: skip
COLLECTION_TYPES = ("JOB", "ALLOC_SET")
STEPS = {
    "SUBMIT": Step.SUBMIT,
    "SCHEDULE": Step.START,
    **dict.fromkeys(("EVICT", "FAIL", "FINISH", "KILL", "LOST"), Step.END),
}
_RESERVATION = "reservation (alloc set), not a job"
_COLLECTIONS, _INSTANCES = "collection_events", "instance_events"


class _Field(NamedTuple):
    """How to read a field from a JSON value and from a cell; left out, null or empty it is ``default``, if any."""

    from_json: Callable[[Any], Any]
    from_cell: Callable[[str], Any]
    rule: str
    default: Any = None  # None: the field must be given

    def of_json(self, found: JsonObject, field: str) -> Any:
        """The value in an object."""
        if self.default is None:
            return found.get(field, self.from_json, self.rule)
        return found.get_or(field, self.default, self.from_json, self.rule)

    def of_cell(self, cell: str) -> Any:
        """The value in a cell of a CSV file."""
        return self.default if self.default is not None and not cell.strip() else self.from_cell(cell)


def _enumeration(names: tuple[str, ...]) -> _Field:
    """A number, or the name that stands for it."""

    def parse(cell: str) -> int:
        value = names.index(cell.upper()) if cell.upper() in names else whole(cell)
        if value >= len(names):
            raise ValueError
        return value

    return _Field(number_of(parse), parse, f"one of 0..{len(names) - 1} ({', '.join(names)})", 0)


_WHOLE = _Field(number_of(whole), whole, "a whole number >= 0", 0)
_ID = _WHOLE._replace(default=None)
_COLLECTION_FIELDS = {
    "time": _WHOLE,
    "type": _enumeration(KINDS),
    "collection_id": _ID,
    "collection_type": _enumeration(COLLECTION_TYPES),
    "user": _Field(text, str.strip, "text", ""),
}
_INSTANCE_FIELDS = {"collection_id": _ID, "instance_index": _WHOLE, "priority": _WHOLE}


@dataclass(frozen=True)
class Google2019Trace(BorgTrace):
    """Jobs of the 2019 log, as ``BorgTrace`` states; ``path`` is the folder of both kinds of events.

    Files whose names begin with ``collection_events`` and ``instance_events`` are read, in order of their names, plain
    or gzipped. JSON: one object a line, or one list. Whole numbers may be texts, enumerations numbers or names, and a
    field that is left out, other than collection_id, has its default, 0. So has an empty cell of a CSV file, whose
    columns must be there. Collections of type 1 are reservations: dropped and counted. Fields used that are not of
    their kind are errors. Times are microseconds in the log; it begins at 600 s.
    """

    needs: ClassVar[str] = f"the folder that holds {_COLLECTIONS}* and {_INSTANCES}* (JSON or CSV)"

    def _log(self) -> Log:
        files = _files(self.path, _COLLECTIONS), _files(self.path, _INSTANCES)
        stamps = tuple(file_stamp(path) for table in files for path in table)
        return _read(self.path, files, stamps, self.max_gang)


def _files(folder: str, stem: str) -> tuple[str, ...]:
    found = tuple(sorted(str(path) for path in Path(folder).glob(f"{stem}*") if path.is_file()))
    if not found:
        raise TraceError(f"The folder {folder!r} must hold a file {stem}*; it does not. Check the path.")
    return found


@lru_cache(maxsize=2)
def _read(folder: str, files: tuple[tuple[str, ...], tuple[str, ...]], stamps: object, max_gang: int) -> Log:
    """The joined files; the stamps only serve to read changed files again."""
    events = _columns(files[0], _COLLECTION_FIELDS)
    tasks = _columns(files[1], _INSTANCE_FIELDS)
    ids = _numbers(events, "collection_id")
    reserved = _numbers(events, "collection_type") == COLLECTION_TYPES.index("ALLOC_SET")
    reservations = np.unique(ids[reserved])
    is_job = ~np.isin(ids, reservations)
    if not is_job.any():
        raise TraceError(
            f"{folder}: a trace needs at least one job; all {reservations.size} collections are alloc sets."
        )
    jobs = Events(
        ids[is_job],
        _numbers(events, "time")[is_job],
        _numbers(events, "type")[is_job],
        [events["user"][row] for row in np.flatnonzero(is_job)],
    )
    instances = Tasks(*(_numbers(tasks, field) for field in ("collection_id", "instance_index", "priority")))
    return read_jobs(folder, jobs, instances, KINDS, STEPS, max_gang, {_RESERVATION: reservations.size}, ())


def _numbers(columns: dict[str, list[Any]], field: str) -> np.ndarray:
    return np.array(columns[field], dtype=np.int64)


def _columns(paths: tuple[str, ...], fields: Mapping[str, _Field]) -> dict[str, list[Any]]:
    """The fields of all files, one entry per event."""
    columns: dict[str, list[Any]] = {field: [] for field in fields}
    for path in paths:
        if read_text(path).lstrip()[:1] in ("{", "["):
            for found in read_json(path):
                for field, how in fields.items():
                    columns[field].append(how.of_json(found, field))
        else:
            table = read_table(path, tuple(fields))
            for field, how in fields.items():
                columns[field] += table.column(field, how.of_cell, how.rule)
    return columns
