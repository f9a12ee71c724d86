"""Writes runs with MLflow's own client, to any tracking server: in three or four requests a run."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rl_sched.tracking.news import RunNews
from rl_sched.tracking.store import connect
from rl_sched.tracking.writing import KEY_TAG, MAX_PARAM_CHARS, Change, experiment_tags

#: MLflow's limits for one log_batch request: 1000 items in all, and 100 each of parameters and tags.
MAX_ITEMS, MAX_EACH = 900, 90
#: A request that took longer may have been sent more than once.
SLOW_S = 5.0


class ClientWriter:
    """See ``RunWriter``.

    Args:
        uri: Address of the tracking server.
        experiment: Name of the experiment; it is made if there is none.
        artifact_location: Where files of a new experiment go; by default the server decides.
        about: Description of the experiment, unless it has one.
    """

    group = 1

    def __init__(self, uri: str, experiment: str, artifact_location: str | None = None, about: str = "") -> None:
        self.client = connect(uri)
        found = self.client.get_experiment_by_name(experiment)
        #: Nobody else writes runs of an experiment that we have just made.
        self._is_ours = found is None
        if found is None:
            self.experiment_id = self.client.create_experiment(
                experiment, artifact_location=artifact_location, tags=experiment_tags(about)
            )
        else:
            if found.lifecycle_stage == "deleted":
                self.client.restore_experiment(found.experiment_id)
            self.experiment_id = found.experiment_id
            for name, value in experiment_tags(about).items():
                if name not in found.tags:
                    self.client.set_experiment_tag(self.experiment_id, name, value)

    def is_there(self) -> bool:
        """See ``RunWriter``."""
        try:
            self.client.get_experiment(self.experiment_id)
        except Exception:
            return False
        return True

    def find(self, key: str) -> str | None:
        """See ``RunWriter``."""
        found = [] if self._is_ours else self._runs_of(key)
        return found[0] if found else None

    def exists(self, run_id: str) -> bool:
        """See ``RunWriter``."""
        from mlflow.exceptions import MlflowException

        try:
            self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise
        return True

    def create(self, key: str, news: RunNews, tags: dict[str, str]) -> str:
        """See ``RunWriter``; the run is there at once."""
        assert news.birth is not None
        begin_s = time.monotonic()
        start_ms, name = news.birth.time_ms, news.birth.name
        run_id = self.client.create_run(self.experiment_id, start_time=start_ms, tags=tags, run_name=name).info.run_id
        if time.monotonic() - begin_s > SLOW_S:
            self._drop_twins(key, run_id)
        return run_id

    def write(self, changes: Sequence[Change]) -> None:
        """See ``RunWriter``."""
        for change in changes:
            self._write(change)

    def _write(self, change: Change) -> None:
        from mlflow.entities import Metric, Param, RunTag

        run_id, news = change.run_id, change.news
        if news.status == "RUNNING" and not change.is_new:
            self.client.update_run(run_id, status="RUNNING")
        metrics = [Metric(p.name, p.value, p.time_ms, p.step) for p in news.points]
        params = [Param(name, value[:MAX_PARAM_CHARS]) for name, value in news.params.items()]
        # A new run was made with its tags.
        tags = [] if change.is_new else [RunTag(name, value) for name, value in change.tags.items()]
        while metrics or params or tags:
            few, marks = params[:MAX_EACH], tags[:MAX_EACH]
            room = MAX_ITEMS - len(few) - len(marks)
            self.client.log_batch(run_id, metrics=metrics[:room], params=few, tags=marks, synchronous=True)
            metrics, params, tags = metrics[room:], params[MAX_EACH:], tags[MAX_EACH:]
        for file, folder in news.files:
            if file.is_dir():
                self.client.log_artifacts(run_id, str(file), artifact_path=folder or None)
            elif file.is_file():
                self.client.log_artifact(run_id, str(file), artifact_path=folder or None)
        if news.end_ms is not None:
            self.client.set_terminated(run_id, status=news.status, end_time=news.end_ms)

    def _runs_of(self, key: str) -> list[str]:
        found = self.client.search_runs([self.experiment_id], filter_string=f"tags.`{KEY_TAG}` = '{key}'")
        return [run.info.run_id for run in found]

    def _drop_twins(self, key: str, run_id: str) -> None:
        """Deletes further runs of a key: MLflow repeats a request whose answer is late, and a late one was done too."""
        for twin in self._runs_of(key):
            if twin != run_id:
                self.client.set_terminated(twin, status="KILLED")
                self.client.delete_run(twin)
