"""The interface behind which everything that is measured is recorded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

#: How a run ended: MLflow's words. KILLED = stopped from outside (pruned, interrupted).
Status = Literal["FINISHED", "FAILED", "KILLED"]


class Tracker(Protocol):
    """Records runs. No method may be slow, and none may raise because of a server that is away.

    A run is named by its key: any text that is unique among all runs. Starting a run whose key is known continues it.
    """

    def start_run(
        self, key: str, *, name: str, kind: str, parent: str | None = None, tags: Mapping[str, str] | None = None
    ) -> str:
        """Opens or continues a run and returns its key.

        Args:
            key: Identifies the run for ever, over crashes and restarts.
            name: What a reader sees.
            kind: "sweep", "trial", ...; becomes the tag ``kind``.
            parent: Key of the run that this one belongs to.
            tags: Further tags.
        """

    def log_params(self, run: str, params: Mapping[str, object]) -> None:
        """Records settings; nested mappings become dotted names; the first value of a name stays."""

    def log_metrics(self, run: str, values: Mapping[str, float], step: int, time_s: float | None = None) -> None:
        """Records one point per name. ``step`` counts environment steps; ``time_s`` is seconds since 1970."""

    def log_file(self, run: str, path: Path, folder: str = "") -> None:
        """Records a file or a folder, to be stored under ``folder``."""

    def set_tags(self, run: str, tags: Mapping[str, str]) -> None:
        """Sets tags; a later value replaces an earlier one."""

    def end_run(self, run: str, status: Status) -> None:
        """Closes a run with what really became of it."""
