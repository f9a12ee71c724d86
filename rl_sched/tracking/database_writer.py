"""Writes runs into the embedded store's SQLite file, many in one transaction, without MLflow.

MLflow's client takes some ten transactions and 35 CPU milliseconds for a run of 80 parameters, and two seconds to be
imported; this takes less than one. It writes the rows that MLflow would have written (a test compares them), and only
into a database of the schema that it knows: ``is_known`` says no to any other, and the client is used.
"""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import sqlite3
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlparse

from rl_sched.tracking.news import RunNews
from rl_sched.tracking.writing import (
    KEY_TAG,
    MAX_PARAM_CHARS,
    MAX_TAG_CHARS,
    USER_TAG,
    Change,
    StoreReplacedError,
    experiment_tags,
)

#: Alembic's name of the schema of the pinned MLflow.
SCHEMA = "dc11669786a5"
#: Seconds to wait for another writer: a server, or a command that registers a model.
PATIENCE_S = 60.0

_EXPERIMENT = (
    "select experiment_id, artifact_location, creation_time from experiments where workspace = 'default' and name = ?"
)
_NEW_RUN = (
    "insert into runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time,"
    " source_version, lifecycle_stage, artifact_uri, experiment_id)"
    " values (?, ?, 'UNKNOWN', '', '', ?, 'RUNNING', ?, '', 'active', ?, ?)"
)
#: MLflow's order of points: step, time, value.
_LATEST = (
    "insert into latest_metrics (key, value, timestamp, step, is_nan, run_uuid) values (?, ?, ?, ?, ?, ?)"
    " on conflict (key, run_uuid) do update set value = excluded.value, timestamp = excluded.timestamp,"
    " step = excluded.step, is_nan = excluded.is_nan"
    " where (excluded.step, excluded.timestamp, excluded.value) > (step, timestamp, value)"
)


def is_known(database: Path, experiment: str) -> bool:
    """Whether a database has the known schema, and keeps files of an experiment, if it has it, on this machine."""
    try:
        with contextlib.closing(_open(database)) as db:
            schema = db.execute("select version_num from alembic_version").fetchall()
            places = db.execute("select artifact_location from experiments where name = ?", [experiment]).fetchall()
    except sqlite3.Error:
        return False
    return schema == [(SCHEMA,)] and all(urlparse(place).scheme == "file" for (place,) in places)


class DatabaseWriter:
    """See ``RunWriter``.

    Args:
        database: The SQLite file, of which ``is_known`` is true.
        experiment: Name of the experiment; it is made if there is none.
        artifact_location: Where files of a new experiment go.
        about: Description of the experiment, unless it has one.
    """

    group = 200

    def __init__(self, database: Path, experiment: str, artifact_location: str, about: str = "") -> None:
        self._database = database
        with self._transaction() as db:
            now_ms = int(1000 * time.time())
            db.execute(
                "insert into experiments (name, artifact_location, lifecycle_stage, creation_time, last_update_time)"
                " values (?, ?, 'active', ?, ?) on conflict (workspace, name) do update set lifecycle_stage = 'active'",
                [experiment, artifact_location, now_ms, now_ms],
            )
            found = db.execute(_EXPERIMENT, [experiment]).fetchone()
            db.executemany(
                "insert into experiment_tags (key, value, experiment_id) values (?, ?, ?) on conflict do nothing",
                [(name, value, found[0]) for name, value in experiment_tags(about).items()],
            )
            self._by_key = dict(
                db.execute(
                    "select t.value, t.run_uuid from tags t join runs r on r.run_uuid = t.run_uuid"
                    " where t.key = ? and r.experiment_id = ? and r.lifecycle_stage = 'active'",
                    [KEY_TAG, found[0]],
                )
            )
            self._run_ids = {run_id for (run_id,) in db.execute("select run_uuid from runs")}
        self._experiment, self._found = experiment, found
        self.experiment_id, self._location = str(found[0]), str(found[1])

    def is_there(self) -> bool:
        """See ``RunWriter``."""
        return self._database.is_file()

    def find(self, key: str) -> str | None:
        """See ``RunWriter``."""
        return self._by_key.get(key)

    def exists(self, run_id: str) -> bool:
        """See ``RunWriter``."""
        return run_id in self._run_ids

    def create(self, key: str, news: RunNews, tags: dict[str, str]) -> str:
        """See ``RunWriter``; nothing is written yet."""
        return uuid.uuid4().hex

    def write(self, changes: Sequence[Change]) -> None:
        """See ``RunWriter``: all in one transaction, then the files."""
        if not self.is_there():
            raise StoreReplacedError(f"{self._database} is gone.")
        with self._transaction() as db:
            if db.execute(_EXPERIMENT, [self._experiment]).fetchone() != self._found:
                raise StoreReplacedError(f"{self._database} is not the file any more that it was.")
            for change in changes:
                self._write(db, change)
        for change in changes:
            self._run_ids.add(change.run_id)
            if change.is_new:
                self._by_key[change.tags[KEY_TAG]] = change.run_id
            for file, folder in change.news.files:
                self._copy(change.run_id, file, folder)

    def _write(self, db: sqlite3.Connection, change: Change) -> None:
        run_id, news = change.run_id, change.news
        tags = change.tags
        if change.is_new:
            assert news.birth is not None
            place = f"{self._location}/{run_id}/artifacts"
            user = tags.get(USER_TAG, "unknown")
            db.execute(_NEW_RUN, [run_id, news.birth.name, user, news.birth.time_ms, place, int(self.experiment_id)])
            tags = {**tags, "mlflow.runName": news.birth.name}
        if news.status is not None:
            db.execute(
                "update runs set status = ?, end_time = ? where run_uuid = ?", [news.status, news.end_ms, run_id]
            )
        db.executemany(
            "insert into params (key, value, run_uuid) values (?, ?, ?) on conflict do nothing",
            [(name, value[:MAX_PARAM_CHARS], run_id) for name, value in news.params.items()],
        )
        db.executemany(
            "insert or replace into tags (key, value, run_uuid) values (?, ?, ?)",
            [(name, value[:MAX_TAG_CHARS], run_id) for name, value in tags.items()],
        )
        rows = [(p.name, *_stored(p.value), p.time_ms, p.step) for p in news.points]
        db.executemany(
            "insert into metrics (key, value, is_nan, timestamp, step, run_uuid) values (?, ?, ?, ?, ?, ?)"
            " on conflict do nothing",
            [(*row, run_id) for row in rows],
        )
        latest: dict[str, tuple[int, int, float, int]] = {}
        for name, value, is_nan, time_ms, step in rows:
            latest[name] = max(latest.get(name, (step, time_ms, value, is_nan)), (step, time_ms, value, is_nan))
        db.executemany(
            _LATEST, [(name, v, time_ms, step, nan, run_id) for name, (step, time_ms, v, nan) in latest.items()]
        )

    def _copy(self, run_id: str, file: Path, folder: str) -> None:
        """A file or the contents of a folder, as MLflow's client does it."""
        target = Path(unquote(urlparse(self._location).path)) / run_id / "artifacts" / folder
        if file.is_dir():
            shutil.copytree(file, target, dirs_exist_ok=True)
        elif file.is_file():
            target.mkdir(parents=True, exist_ok=True)
            fresh = target / f".{file.name}.new"
            shutil.copy2(file, fresh)
            os.replace(fresh, target / file.name)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        # A connection each time: one that stays open would go on writing to a file that was deleted.
        with contextlib.closing(_open(self._database)) as db:
            db.execute("begin immediate")
            try:
                yield db
            except BaseException:
                db.execute("rollback")
                raise
            db.execute("commit")


def _open(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{database.as_uri()}?mode=rw", uri=True, timeout=PATIENCE_S, isolation_level=None)


def _stored(value: float) -> tuple[float, int]:
    """A value as MLflow stores it, and whether it was nan."""
    if math.isnan(value):
        return 0.0, 1
    return min(max(value, -sys.float_info.max), sys.float_info.max), 0
