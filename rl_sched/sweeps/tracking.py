"""A sweep's own run, and the way of all spools of a sweep to MLflow."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rl_sched.config import to_dict
from rl_sched.provenance import package_hash
from rl_sched.sweeps.ledger import Ledger, write_json
from rl_sched.sweeps.plan import Cell, Plan
from rl_sched.sweeps.worker import VAL_METRIC
from rl_sched.tracking.background import BackgroundSync
from rl_sched.tracking.mlflow_sink import MlflowSink
from rl_sched.tracking.spool import JsonlSpool
from rl_sched.tracking.store import Store
from rl_sched.tracking.tracker import Status

#: The metric that trials are sorted by in the user interface.
OBJECTIVE_METRIC = VAL_METRIC
#: Seconds that the end of a sweep waits for MLflow.
LAST_SYNC_S = 120.0


class SweepTracking:
    """Records a sweep while it runs; ``close`` ends it.

    Args:
        plan: The plan.
        ledger: The sweep's folder.
        store: Where MLflow's data live.
    """

    def __init__(self, plan: Plan, ledger: Ledger, store: Store) -> None:
        self._ledger = ledger
        self._spool = JsonlSpool(ledger.root / "sweep.jsonl")
        key = f"{plan.name}-{plan.sweep_id}"
        tags = {"sweep": key, "code": package_hash(), "mlflow.note.content": plan.question}
        self.run = self._spool.start_run(key, name=plan.name, kind="sweep", tags=tags)
        self._spool.log_params(self.run, {"name": plan.name, "base": plan.base})
        file = ledger.root / "plan.json"
        write_json(file, to_dict(plan))
        self._spool.log_file(self.run, file)
        self._sink = MlflowSink(store, plan.name)
        self._background = BackgroundSync(lambda: self._sink.sync(ledger.spools()))
        self._background.start()

    def finish(self, note: str, files: Iterable[Path], status: Status) -> None:
        """Records the verdict and ends the sweep's run."""
        self._spool.set_tags(self.run, {"mlflow.note.content": note})
        for file in files:
            self._spool.log_file(self.run, file, "report" if file.is_file() else file.name)
        self._spool.end_run(self.run, status)

    def run_id(self, cell: Cell) -> str | None:
        """MLflow's id of a trial's run, if MLflow has it."""
        return self._sink.run_id(cell.id)

    def close(self) -> str | None:
        """Brings MLflow up to date and ends the background thread; returns a sentence if it could not."""
        self._spool.close()
        if self._background.close(LAST_SYNC_S):
            return None
        reason = f" ({str(self._background.error).splitlines()[0]})" if self._background.error else ""
        return (
            f"MLflow is not up to date{reason}. Nothing is lost: everything is in {self._ledger.root} "
            "and gets to MLflow with the next sweep of this name or with `make mlflow-ui`."
        )


def sync_all(store: Store) -> list[str]:
    """Brings MLflow up to date with all sweeps that no process runs now (a killed driver may have left a rest).

    Returns:
        A sentence for each sweep of which something could not be replayed.
    """
    sentences = []
    for root in sorted(store.sweeps.iterdir()) if store.sweeps.is_dir() else []:
        ledger = Ledger(root)
        if (root / "sweep.jsonl").is_file() and not ledger.is_running():
            try:
                MlflowSink(store, root.name).sync(ledger.spools())
            except Exception as error:
                # What is in MLflow already is worth showing.
                sentences.append(f"Not all of sweep {root.name} is in MLflow: {str(error).splitlines()[0]}")
    return sentences
