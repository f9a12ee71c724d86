"""Replays spools into MLflow. The only way by which runs get there.

Replaying is idempotent: how far each spool is replayed is kept beside it (``replayed.py``), and a run that is not in
those notes is found by its key. If the store was deleted, everything is replayed into the new one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rl_sched.tracking import database_writer
from rl_sched.tracking.news import RunNews, read_news
from rl_sched.tracking.replayed import Replayed
from rl_sched.tracking.store import Store
from rl_sched.tracking.writing import KEY_TAG, Change, RunWriter, StoreReplacedError


class _Page(NamedTuple):
    """The news of one spool on their way."""

    path: Path
    state: Replayed  #: as it is when they are written
    changes: list[Change]
    num_records: int


class MlflowSink:
    """Writes spools to one MLflow store.

    Args:
        store: The embedded store; it is made on the first ``sync``.
        experiment: Name of MLflow's experiment that new runs go to.
        uri: Address of another tracking server instead of the embedded store's database.
        about: Description of the experiment, unless it has one.
    """

    def __init__(self, store: Store, experiment: str, uri: str | None = None, about: str = "") -> None:
        self._store = store
        self._experiment, self._about = experiment, about
        self._uri = uri or store.uri
        self._writer: RunWriter | None = None
        self._runs: dict[str, str] = {}
        self._states: dict[str, Replayed] = {}  #: by the spool's path as text, which is faster to look up

    @property
    def experiment_id(self) -> str:
        """MLflow's id of the experiment; "" before the first contact."""
        return self._writer.experiment_id if self._writer is not None else ""

    def run_id(self, key: str) -> str | None:
        """MLflow's id of a run that has been replayed."""
        return self._runs.get(key)

    def sync(self, spools: Sequence[Path]) -> int:
        """Brings MLflow up to date with the spools; the spool of a parent comes before those of its children.

        Returns:
            Number of records replayed.

        Raises:
            Exception: Whatever MLflow raises when its store is away or full. Call again later: nothing is lost.
        """
        with self._store.replaying():
            try:
                return self._sync(spools)
            except StoreReplacedError:
                self._writer = None
                self._runs.clear()
                self._states.clear()
                return self._sync(spools)

    def _sync(self, spools: Sequence[Path]) -> int:
        if self._writer is None:
            self._writer = self._connect()
        writer = self._writer
        count, errors = 0, list[Exception]()
        pages: list[_Page] = []
        for path in spools:
            try:
                if (page := self._read(path, writer)) is not None:
                    pages.append(page)
                if len(pages) >= writer.group:
                    count += self._write(pages, writer)
            except StoreReplacedError:
                raise
            except Exception as error:
                # The next spool may be fine; what this one has left is tried again next time.
                errors.append(error)
                self._states.pop(str(path), None)
                if not writer.is_there():
                    break  # else every spool would wait for the same time-outs
        try:
            count += self._write(pages, writer)
        except StoreReplacedError:
            raise
        except Exception as error:
            errors.append(error)
        if errors:
            raise errors[0]
        return count

    def _connect(self) -> RunWriter:
        location = None
        if self._uri == self._store.uri:
            self._store.ensure()
            location = (self._store.artifacts / self._experiment).as_uri()
            if database_writer.is_known(self._store.database, self._experiment):
                return database_writer.DatabaseWriter(self._store.database, self._experiment, location, self._about)
        from rl_sched.tracking.client_writer import ClientWriter

        return ClientWriter(self._uri, self._experiment, location, self._about)

    def _read(self, path: Path, writer: RunWriter) -> _Page | None:
        """What is new in a spool; its new runs have ids, if no rows yet."""
        state = self._states.get(str(path))
        if state is None:
            state = self._states[str(path)] = self._load_state(path, writer)
        try:
            if os.stat(path).st_size <= state.offset:
                return None
        except FileNotFoundError:
            return None
        runs, count, offset = read_news(path, state.offset, state.runs)
        changes = []
        for key, news in runs.items():
            change = self._change(key, news, state.runs.get(key), writer)
            self._runs[key] = change.run_id
            changes.append(change)
        ids = {key: change.run_id for key, change in zip(runs, changes, strict=True)}
        return _Page(path, Replayed(self._uri, offset, {**state.runs, **ids}), changes, count)

    def _change(self, key: str, news: RunNews, run_id: str | None, writer: RunWriter) -> Change:
        run_id = run_id or writer.find(key)
        if run_id is not None:
            return Change(run_id, False, news, news.tags)
        assert news.birth is not None  # else ``read_news`` would have raised
        tags = {**news.tags, "kind": news.birth.kind, KEY_TAG: key}
        if news.birth.parent in self._runs:
            tags["mlflow.parentRunId"] = self._runs[news.birth.parent]
        return Change(writer.create(key, news, tags), True, news, tags)

    def _write(self, pages: list[_Page], writer: RunWriter) -> int:
        """Writes and empties the list; returns the number of records."""
        batch = pages[:]
        pages.clear()
        try:
            writer.write([change for page in batch for change in page.changes])
        except Exception:
            for page in batch:
                self._states.pop(str(page.path), None)
                for key, run_id in page.state.runs.items():
                    if self._runs.get(key) == run_id:
                        del self._runs[key]
            raise
        for page in batch:
            page.state.write(page.path)
            self._states[str(page.path)] = page.state
        return sum(page.num_records for page in batch)

    def _load_state(self, path: Path, writer: RunWriter) -> Replayed:
        state = Replayed.read(path, self._uri)
        if not all(writer.exists(run_id) for run_id in state.runs.values()):
            return Replayed(self._uri)
        self._runs.update(state.runs)
        return state
