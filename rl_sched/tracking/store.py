"""The embedded MLflow store: one SQLite file and a folder of artifacts below a data folder; no server needed.

``data/mlflow.db`` holds runs, parameters, metrics and the registry of models, ``data/artifacts/`` the files of runs,
``data/models/`` those of registered policies, ``data/sweeps/NAME/`` the ledgers and spools of sweeps. The last is the
truth of all runs: they can be made again from it.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rl_sched.errors import RlSchedError

#: Names the data folder of a machine, e.g. the shared storage of a cluster.
DATA_VARIABLE = "RL_SCHED_DATA"
#: Where data live unless a caller says otherwise: inside the checkout that the command is run from.
DEFAULT_DATA_DIR = Path(os.environ.get(DATA_VARIABLE) or "mlflow/data")
#: MLflow's own variable: address of a team's server, which then gets the runs instead of the embedded store.
URI_VARIABLE = "MLFLOW_TRACKING_URI"

#: Makes a fresh store with all of MLflow's tables; run in a process of its own.
_CREATE = "import sys; from mlflow import MlflowClient; MlflowClient(sys.argv[1]).search_experiments(max_results=1)"


@dataclass(frozen=True, slots=True)
class Store:
    """Paths and addresses of one embedded store.

    Attributes:
        data_dir: The folder that holds everything.
    """

    data_dir: Path

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.data_dir.resolve() / "mlflow.db"

    @property
    def artifacts(self) -> Path:
        """The folder of artifacts."""
        return self.data_dir.resolve() / "artifacts"

    @property
    def models(self) -> Path:
        """The folder of registered policies."""
        return self.data_dir.resolve() / "models"

    @property
    def sweeps(self) -> Path:
        """The folder of sweeps."""
        return self.data_dir.resolve() / "sweeps"

    @property
    def uri(self) -> str:
        """MLflow's address of the database: absolute, because MLflow's default depends on the current folder."""
        return f"sqlite:///{self.database}"

    @property
    def tracking_uri(self) -> str:
        """Where runs go: the team's server that ``MLFLOW_TRACKING_URI`` names, else the embedded database."""
        return os.environ.get(URI_VARIABLE) or self.uri

    def ensure(self) -> None:
        """Creates the database if it does not exist; safe from several processes, and under kill -9.

        MLflow's tables take seconds to make. They are made in a new file that is then renamed, so that there is either
        no database or a whole one.

        Raises:
            RlSchedError: The folder cannot be written, or MLflow cannot make its tables.
        """
        if self.database.is_file():
            return
        with self._lock(".store.lock"):
            if self.database.is_file():
                return
            fresh = self.database.with_name("mlflow.db.new")
            fresh.unlink(missing_ok=True)
            command = [sys.executable, "-c", _CREATE, f"sqlite:///{fresh}"]
            done = subprocess.run(
                command, capture_output=True, text=True, env=mlflow_environment(), stdin=subprocess.DEVNULL
            )
            if done.returncode != 0:
                reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
                raise RlSchedError(f"MLflow could not make its database {self.database}: {reason}")
            os.replace(fresh, self.database)

    def replaying(self) -> contextlib.AbstractContextManager[None]:
        """Held while spools of this data folder are replayed, so that two processes never replay the same one.

        Raises:
            RlSchedError: The folder cannot be written.
        """
        return self._lock(".replay.lock")

    @contextlib.contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            handle = (self.data_dir / name).open("w")
        except OSError as error:
            raise RlSchedError(f"The folder {self.data_dir} must be writable; {error.strerror}.") from error
        with handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def mlflow_environment() -> dict[str, str]:
    """The environment for MLflow: no telemetry, no minutes of waiting for a server that is away, one process."""
    defaults = {
        # For evaluations of language models, a server starts eight more processes of 200 MB, and takes minutes to.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
        "MLFLOW_LOGGING_LEVEL": "ERROR",
        "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # two lines for each run that ends on a server
    }
    return {**defaults, **os.environ}


def connect(uri: str) -> Any:
    """A client of the MLflow at an address, for runs and for the registry of models; it does not chat."""
    os.environ.update(mlflow_environment())
    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.ERROR)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def trials_link(address: str, experiment_id: str, sweep: str, metric: str) -> str:
    """The page of MLflow's user interface that opens on the charts of a sweep's trials, best trial first.

    Args:
        address: ``http://host:port``.
        experiment_id: MLflow's id of the experiment.
        sweep: Value of the tag ``sweep`` of the trials.
        metric: Metric to sort by, the smallest first.
    """
    # Without workflowType the page opens on an empty view for language models.
    query = {
        "workflowType": "machine_learning",
        "compareRunsMode": "CHART",
        "searchFilter": f"tags.kind='trial' and tags.sweep='{sweep}'",
        "orderByKey": f"metrics.`{metric}`",
        "orderByAsc": "true",
    }
    text = "&".join(f"{key}={quote(value, safe='')}" for key, value in query.items())
    return f"{address}/#/experiments/{experiment_id}/runs?{text}"
