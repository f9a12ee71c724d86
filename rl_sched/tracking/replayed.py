"""How far a spool has been replayed into MLflow: a small file beside it.

It is written after MLflow has what it says. A crash in between repeats one batch, whose points carry the same
timestamps and values and are therefore the same rows.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass
class Replayed:
    """What of one spool is in MLflow already."""

    uri: str = ""
    offset: int = 0  #: bytes of the spool
    runs: dict[str, str] = field(default_factory=dict)  #: run key -> MLflow's run id

    @classmethod
    def read(cls, spool: Path, uri: str) -> Replayed:
        """What is known of a spool and a store; nothing, if the file is not there or speaks of another store."""
        try:
            known = cls(**json.loads(_beside(spool).read_text()))
        except (OSError, ValueError, TypeError):
            return cls(uri)
        return known if known.uri == uri else cls(uri)

    def write(self, spool: Path) -> None:
        """Replaces the file in one step."""
        target = _beside(spool)
        fresh = target.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self)))
        os.replace(fresh, target)


def _beside(spool: Path) -> Path:
    return spool.with_suffix(".sync.json")
