"""Names of jobs that must be unique in a file."""

from __future__ import annotations

from collections.abc import Iterable

from rl_sched.errors import TraceError
from rl_sched.traces.reading import Table, name


def unique_names(table: Table, column: str, rows: Iterable[int] | None = None) -> list[str]:
    """(n,) names in a column, which differ in ``rows`` (all, unless given).

    Raises:
        TraceError: A name is empty or is there twice; the message names both lines.
    """
    names = table.column(column, name, "a name that is not empty")
    lines: dict[str, int] = {}
    for row in range(len(names)) if rows is None else rows:
        line = table.lines[row]
        if lines.setdefault(names[row], line) != line:
            raise TraceError(
                f"{table.path}, line {line}, field {column!r}: every job must have its own name; {names[row]!r} is "
                f"also on line {lines[names[row]]}. Rename or remove one of them."
            )
    return names
