"""The versions of registered models, read from MLflow's database without MLflow: importing it takes two seconds."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from rl_sched.errors import RlSchedError

#: How a registered policy is written where a checkpoint folder may be.
SCHEME = "models:/"
#: The stage of versions that were deleted; their rows stay.
_DELETED = "Deleted_Internal"


class Version(NamedTuple):
    """One version of a registered model."""

    name: str
    version: int
    aliases: tuple[str, ...]
    tags: Mapping[str, str]  #: those of ``Card.tags`` and the digest, if this project has registered it
    source: str  #: address of its files
    run_id: str  #: MLflow's run that made it, or ""

    @property
    def uri(self) -> str:
        """``models:/NAME/VERSION``."""
        return f"{SCHEME}{self.name}/{self.version}"

    def describe(self) -> str:
        """For a list in a sentence."""
        return f"version {self.version}" + (f" ({', '.join(self.aliases)})" if self.aliases else "")


def read_versions(database: Path) -> list[Version]:
    """All versions of all models, by name, newest first; none if there is no database.

    Raises:
        RlSchedError: The database cannot be read, or is not one of the pinned MLflow.
    """
    if not database.exists():
        return []
    try:
        with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as db:
            rows = db.execute(
                "select name, version, source, run_id from model_versions where current_stage != ? "
                "order by name, version desc",
                [_DELETED],
            ).fetchall()
            aliases = db.execute("select name, version, alias from registered_model_aliases order by alias").fetchall()
            tags = db.execute("select name, version, key, value from model_version_tags").fetchall()
    except sqlite3.Error as error:
        raise RlSchedError(f"MLflow's database {database} cannot be read: {error}.") from error
    return [
        Version(
            name=name,
            version=version,
            aliases=tuple(alias for *of, alias in aliases if of == [name, version]),
            tags={key: value for *of, key, value in tags if of == [name, version]},
            source=source,
            run_id=run_id or "",
        )
        for name, version, source, run_id in rows
    ]
