"""Finished races, one line of JSON each policy, in one file that outlives the server."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from rl_sched.errors import RlSchedError

#: The newest rows that are kept and told.
MAX_ROWS = 1000


class History:
    """The file, and its newest rows in memory.

    Args:
        file: Made with the first row.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._rows: list[dict[str, Any]] = []
        with contextlib.suppress(OSError):
            for line in file.read_text().splitlines()[-MAX_ROWS:]:
                with contextlib.suppress(ValueError):  # cut short by a crash
                    self._rows.append(json.loads(line))

    def rows(self) -> list[dict[str, Any]]:
        """The newest rows, oldest first."""
        return list(self._rows)

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Appends rows.

        Raises:
            RlSchedError: The file cannot be written; the rows are kept in memory all the same.
        """
        self._rows = [*self._rows, *rows][-MAX_ROWS:]
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a") as out:
                out.writelines(json.dumps(row) + "\n" for row in rows)
        except OSError as error:
            raise RlSchedError(f"The history {self._file.name} must be writable: {error.strerror}.") from error

    def clear(self) -> int:
        """Forgets all rows; returns how many there were."""
        count, self._rows = len(self._rows), []
        self._file.unlink(missing_ok=True)
        return count

    def comparative(self, limit: int) -> dict[str, Any]:
        """The newest ``limit`` races, by policy."""
        races = list(dict.fromkeys(row["race"] for row in self._rows))[-limit:]
        chosen = set(races)
        policies: dict[str, list[dict[str, Any]]] = {}
        for row in self._rows:
            if row["race"] in chosen:
                own = {"race": row["race"], "at": row["at"], "workload": row["workload"], **row["metrics"]}
                policies.setdefault(row["policy"], []).append(own)
        return {"races": len(races), "policies": policies}
