"""Replays spools into MLflow. The only module that writes runs to it.

Replaying is idempotent: beside each spool lies a ``.sync.json`` with MLflow's run ids and the bytes already replayed.
A crash between writing to MLflow and writing that file repeats one batch, whose points carry the same timestamps and
values and are therefore the same rows. If the store was deleted, everything is replayed into the new one.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rl_sched.tracking.spool import read_spool
from rl_sched.tracking.store import Store, connect

#: The tag that holds a run's key: finds a run whose id was not written down because of a crash.
KEY_TAG = "rl_sched.run"
#: MLflow's limit for one log_batch request is 1000 items in all.
MAX_BATCH = 900
#: A request that took longer may have been sent more than once.
SLOW_S = 5.0
#: MLflow's limit for the text of one parameter.
MAX_PARAM_CHARS = 6000


@dataclass
class _State:
    """What of one spool is in MLflow already."""

    uri: str = ""
    offset: int = 0
    runs: dict[str, str] = field(default_factory=dict)  #: run key -> MLflow run id


@dataclass
class _Batch:
    """Records of one run that wait for the next request."""

    metrics: list[Any] = field(default_factory=list)
    params: list[Any] = field(default_factory=list)
    tags: list[Any] = field(default_factory=list)


class MlflowSink:
    """Writes spools to one MLflow store.

    Args:
        store: The embedded store; it is made on the first ``sync``.
        experiment: Name of MLflow's experiment that new runs go to.
        uri: Address of another tracking server instead of the embedded store's database.

    Attributes:
        experiment_id: MLflow's id of the experiment; "" before the first contact.
    """

    def __init__(self, store: Store, experiment: str, uri: str | None = None) -> None:
        self._store = store
        self._experiment = experiment
        self._uri = uri or store.uri
        self._client: Any = None
        self.experiment_id = ""
        self._runs: dict[str, str] = {}
        self._states: dict[Path, _State] = {}

    def run_id(self, key: str) -> str | None:
        """MLflow's id of a run that has been replayed."""
        return self._runs.get(key)

    def sync(self, spools: Iterable[Path]) -> int:
        """Brings MLflow up to date with the spools; the spool of a parent comes before those of its children.

        Returns:
            Number of records replayed.

        Raises:
            Exception: Whatever MLflow raises when its store is away or full. Call again later: nothing is lost.
        """
        if self._client is None:
            self._connect()
        count, errors = 0, []
        for path in spools:
            try:
                count += self._sync_spool(path)
            except Exception as error:
                # The next spool may be fine; what this one has left is tried again next time.
                self._states.pop(path, None)
                errors.append(error)
                if not self._is_there():
                    break  # else every spool would wait for the same time-outs
        if errors:
            raise errors[0]
        return count

    def _is_there(self) -> bool:
        """Whether the store answers, so that an error is a spool's own."""
        try:
            self._client.get_experiment(self.experiment_id)
        except Exception:
            return False
        return True

    def _connect(self) -> None:
        if self._uri == self._store.uri:
            self._store.ensure()
        client = connect(self._uri)
        found = client.get_experiment_by_name(self._experiment)
        if found is None:
            location = self._store.artifacts / self._experiment if self._uri == self._store.uri else None
            self.experiment_id = client.create_experiment(
                self._experiment, artifact_location=location.as_uri() if location else None
            )
        else:
            if found.lifecycle_stage == "deleted":
                client.restore_experiment(found.experiment_id)
            self.experiment_id = found.experiment_id
        self._client = client

    def _sync_spool(self, path: Path) -> int:
        state = self._states.get(path) or self._load_state(path)
        self._states[path] = state
        if not path.is_file() or path.stat().st_size <= state.offset:
            return 0
        count = 0
        batches: dict[str, _Batch] = {}
        offset = state.offset
        for record, behind in read_spool(path, state.offset):
            self._take(record, path, state, batches)
            offset = behind
            count += 1
        for key, batch in batches.items():
            self._flush(state.runs[key], batch)
        state.offset = offset
        self._save_state(path, state)
        return count

    def _take(self, record: dict[str, Any], path: Path, state: _State, batches: dict[str, _Batch]) -> None:
        from mlflow.entities import Metric, Param, RunTag

        key, time_ms = record["run"], int(record["time_s"] * 1000)
        if record["op"] in ("start", "continue"):
            self._open(record, path, state, time_ms)
            return
        batch = batches.setdefault(key, _Batch())
        run_id = state.runs[key]
        if record["op"] == "metrics":
            batch.metrics += [Metric(n, v, time_ms, record["step"]) for n, v in record["values"].items()]
        elif record["op"] == "params":
            batch.params += [Param(n, v[:MAX_PARAM_CHARS]) for n, v in record["values"].items()]
        elif record["op"] == "tags":
            batch.tags += [RunTag(n, v) for n, v in record["values"].items()]
        elif record["op"] == "file":
            file = path.parent / record["path"]  # an absolute path stays itself
            if file.is_dir():
                self._client.log_artifacts(run_id, str(file), artifact_path=record["folder"] or None)
            elif file.is_file():
                self._client.log_artifact(run_id, str(file), artifact_path=record["folder"] or None)
        elif record["op"] == "end":
            self._flush(run_id, batch)
            batches[key] = _Batch()
            self._client.set_terminated(run_id, status=record["status"], end_time=time_ms)

    def _open(self, record: dict[str, Any], path: Path, state: _State, time_ms: int) -> None:
        key = record["run"]
        if key in state.runs:
            self._client.update_run(state.runs[key], status="RUNNING")
            for name, value in record["tags"].items():
                self._client.set_tag(state.runs[key], name, value)
        elif known := self._find(key):
            state.runs[key] = known
        else:
            tags = {**record["tags"], "kind": record["kind"], KEY_TAG: key}
            if record["parent"] in self._runs:
                tags["mlflow.parentRunId"] = self._runs[record["parent"]]
            begin_s = time.monotonic()
            run = self._client.create_run(self.experiment_id, start_time=time_ms, tags=tags, run_name=record["name"])
            state.runs[key] = run.info.run_id
            if time.monotonic() - begin_s > SLOW_S:
                self._drop_twins(key, run.info.run_id)
        self._runs.update(state.runs)
        # At once: should we crash before the batch is in, the run must not be created twice.
        self._save_state(path, state)

    def _drop_twins(self, key: str, run_id: str) -> None:
        """Deletes further runs of a key: MLflow repeats a request whose answer is late, and a late one was done too."""
        for run in self._client.search_runs([self.experiment_id], filter_string=f"tags.`{KEY_TAG}` = '{key}'"):
            if run.info.run_id != run_id:
                self._client.set_terminated(run.info.run_id, status="KILLED")
                self._client.delete_run(run.info.run_id)

    def _find(self, key: str) -> str | None:
        found = self._client.search_runs([self.experiment_id], filter_string=f"tags.`{KEY_TAG}` = '{key}'")
        return found[0].info.run_id if found else None

    def _flush(self, run_id: str, batch: _Batch) -> None:
        for start in range(0, len(batch.metrics), MAX_BATCH):
            self._client.log_batch(run_id, metrics=batch.metrics[start : start + MAX_BATCH], synchronous=True)
        for start in range(0, max(len(batch.params), len(batch.tags)), 90):
            part = slice(start, start + 90)
            self._client.log_batch(run_id, params=batch.params[part], tags=batch.tags[part], synchronous=True)

    def _load_state(self, path: Path) -> _State:
        try:
            state = _State(**json.loads(_state_path(path).read_text()))
        except (OSError, ValueError, TypeError):
            return _State(uri=self._uri)
        if state.uri != self._uri or not all(self._exists(run_id) for run_id in state.runs.values()):
            return _State(uri=self._uri)
        self._runs.update(state.runs)
        return state

    def _exists(self, run_id: str) -> bool:
        from mlflow.exceptions import MlflowException

        try:
            self._client.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise
        return True

    @staticmethod
    def _save_state(path: Path, state: _State) -> None:
        target = _state_path(path)
        fresh = target.with_suffix(".new")
        fresh.write_text(json.dumps({"uri": state.uri, "offset": state.offset, "runs": state.runs}))
        os.replace(fresh, target)


def _state_path(spool: Path) -> Path:
    return spool.with_suffix(".sync.json")
