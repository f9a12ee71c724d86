"""A sweep's own run and those of its arms, and the way of all spools of a sweep to MLflow."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rl_sched.config import to_dict
from rl_sched.errors import SweepError
from rl_sched.evaluation.comparison import display
from rl_sched.provenance import checkout, package_hash
from rl_sched.scenarios import SCENARIOS
from rl_sched.sweeps.cell import Cell, arm_run
from rl_sched.sweeps.ledger import Ledger, read_json, write_json, write_text
from rl_sched.sweeps.plan import Plan
from rl_sched.sweeps.worker import VAL_METRIC
from rl_sched.tracking.background import BackgroundSync
from rl_sched.tracking.environment import environment, git_state, who_and_how
from rl_sched.tracking.mlflow_sink import MlflowSink
from rl_sched.tracking.server import running_address
from rl_sched.tracking.spool import JsonlSpool, close_spool
from rl_sched.tracking.store import Store, trials_link
from rl_sched.tracking.tracker import Status

#: The metric that trials are sorted by in the user interface.
OBJECTIVE_METRIC = VAL_METRIC
#: What MLflow accepts in no name of a metric.
_FORBIDDEN = re.compile(r"[^\w.\- ]")
#: Description of an arm's run.
_ARM_NOTE = (
    "One arm on one scenario. Metrics `report/` are the report's: means over training seeds on REPORT workloads, with "
    "95 % intervals (`_low`, `_high`). Its trials are the child runs."
)
#: Seconds that the end of a sweep waits for MLflow.
LAST_SYNC_S = 120.0


class SweepTracking:
    """Records a sweep while it runs: a run of its own, and below it one for each arm and scenario.

    ``finish`` and then ``close`` end it.

    Args:
        plan: The plan.
        scenarios: Its scenarios that can run.
        ledger: The sweep's folder.
        store: Where MLflow's data live.
    """

    def __init__(self, plan: Plan, scenarios: Sequence[str], ledger: Ledger, store: Store) -> None:
        self._plan, self._scenarios, self._ledger, self._store = plan, scenarios, ledger, store
        self._uri = store.tracking_uri
        self._spool = JsonlSpool(ledger.root / "sweep.jsonl")
        self.run = f"{plan.name}-{plan.sweep_id}"
        self._start()
        self._sink = MlflowSink(store, plan.name, self._uri, plan.question)
        self._background = BackgroundSync(lambda: self._sink.sync(ledger.spools()))
        self._background.start()

    def _start(self) -> None:
        plan, root, spool = self._plan, self._ledger.root, self._spool
        tags = {"sweep": self.run, "code": package_hash(), "mlflow.note.content": plan.question, **who_and_how()}
        files = [root / "plan.json", root / "environment.json"]
        write_json(files[0], to_dict(plan))
        write_json(files[1], environment())
        if (git := git_state(checkout())) is not None:
            tags |= git.tags()
            if git.diff:
                files.append(root / "git.diff")
                write_text(files[-1], git.diff)
        spool.start_run(self.run, name=plan.name, kind="sweep", tags=tags)
        spool.log_params(self.run, {"name": plan.name, "base": plan.base})
        for file in files:
            spool.log_file(self.run, file)
        for scenario in self._scenarios:
            trace = SCENARIOS.create(scenario).trace_hash()
            for arm, settings in plan.arm_settings().items():
                tags = {"sweep": self.run, "arm": arm, "scenario": scenario, "code": package_hash(), "trace": trace}
                tags |= who_and_how() | {"mlflow.note.content": _ARM_NOTE}
                run = arm_run(self.run, arm, scenario)
                spool.start_run(run, name=f"{display(arm)}; {scenario}", kind="arm", parent=self.run, tags=tags)
                spool.log_params(run, {**settings, "scenario": scenario})

    def finish(self, note: str, files: Iterable[Path], status: Status) -> None:
        """Records aggregates and verdict, and ends every run of the sweep that is still open; no trial runs any more.

        Args:
            note: Description of the sweep's run.
            files: Files and folders for it; one that holds ``report.json`` is the report of this sweep.
            status: How the sweep ended.
        """
        self._spool.set_tags(self.run, {"mlflow.note.content": note})
        for file in files:
            self._spool.log_file(self.run, file, "report" if file.is_file() else file.name)
            if (file / "report.json").is_file():
                self._aggregate(json.loads((file / "report.json").read_text()))
        for scenario in self._scenarios:
            for arm in self._plan.arm_settings():
                self._spool.end_run(arm_run(self.run, arm, scenario), status)
        self._spool.end_run(self.run, status)
        for spool in self._ledger.spools()[1:]:
            close_spool(spool)

    def _aggregate(self, report: Mapping[str, Any]) -> None:
        """The numbers of a report: those of an arm on its run, those of all arms on the sweep's."""
        # A step for each report: a sweep that is continued or extended reports again.
        step = self._spool.next_step(self.run)
        for scenario in report["scenarios"]:
            for row in scenario["rows"]:
                values = dict(aggregates(scenario, row))
                name = display(row["name"]).replace("=", " ").replace(",", "")
                place = _FORBIDDEN.sub("_", f"{scenario['scenario']} {name}")
                on_parent = {f"report/{metric} {place}": value for metric, value in values.items()}
                self._spool.log_metrics(self.run, on_parent, step)
                if row["learned"]:
                    run = arm_run(self.run, row["name"], scenario["scenario"])
                    self._spool.log_metrics(run, {f"report/{metric}": value for metric, value in values.items()}, step)

    def run_id(self, cell: Cell) -> str | None:
        """The embedded store's id of a trial's run, if it has it."""
        return self._sink.run_id(cell.id) if self._uri == self._store.uri else None

    @property
    def address(self) -> str | None:
        """``http://host:port`` where the trials can be looked at now, if there is such a server."""
        return self._uri.rstrip("/") if self._uri.startswith("http") else running_address(self._store)

    @property
    def link(self) -> str | None:
        """The page with this sweep's trials, if a server shows them now."""
        if (address := self.address) is None:
            return None
        if not self._sink.experiment_id:
            return f"{address}/#/experiments"
        return trials_link(address, self._sink.experiment_id, self.run, OBJECTIVE_METRIC)

    @property
    def replay_cpu_s(self) -> float:
        """CPU seconds that MLflow has taken from this process."""
        return self._background.cpu_s

    def close(self) -> str | None:
        """Brings MLflow up to date and ends the background thread; returns a sentence if it could not."""
        self._spool.close()
        if self._background.close(LAST_SYNC_S):
            return None
        reason = f" ({str(self._background.error).splitlines()[0]})" if self._background.error else ""
        return (
            f"MLflow is not up to date{reason}. Nothing is lost: everything is in {self._ledger.root} "
            "and gets to MLflow with the next sweep of this name or with `python -m rl_sched.tracking sync`."
        )


def aggregates(scenario: Mapping[str, Any], row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The numbers of one row of a report with their 95 % intervals, by metric name; what is not known is left out.

    Args:
        scenario: The report's part on a scenario.
        row: One of its rows: a learned arm or a rule.
    """
    estimates = {scenario["objective"]["metric"]: row["score"]}
    for rule in dict.fromkeys((scenario["sjf"], scenario["best_rule"])):
        if rule in row["versus"]:
            estimates[f"vs_{rule}_pct"] = row["versus"][rule]["difference_pct"]
    for name, estimate in estimates.items():
        for suffix, key in (("", "value"), ("_low", "low"), ("_high", "high")):
            value = estimate[key]
            if value is not None and math.isfinite(value):
                yield f"{name}{suffix}", float(value)
    yield "num_seeds", float(len(row["seed_scores"]))


def sync_all(store: Store, uri: str | None = None, names: Sequence[str] = ()) -> list[str]:
    """Brings MLflow up to date with all sweeps that no process runs now, and ends runs that a killed driver left open.

    Args:
        store: Whose sweeps.
        uri: Address of the tracking server; by default the embedded store.
        names: The sweeps; empty = all.

    Returns:
        A sentence for each sweep of which something could not be replayed.

    Raises:
        SweepError: There is no sweep of a name.
    """
    known = {root.name: root for root in sorted(store.sweeps.iterdir())} if store.sweeps.is_dir() else {}
    known = {name: root for name, root in known.items() if (root / "sweep.jsonl").is_file()}
    if unknown := [name for name in names if name not in known]:
        raise SweepError(f"{unknown[0]!r} must be a sweep in {store.sweeps}: {', '.join(known) or 'there is none'}.")
    sentences = []
    for name in names or known:
        ledger = Ledger(known[name])
        if ledger.is_running():
            continue
        try:
            with ledger.lock():
                for spool in ledger.spools():
                    close_spool(spool)
            about = str((read_json(ledger.root / "plan.json") or {}).get("question", ""))
            MlflowSink(store, name, uri, about).sync(ledger.spools())
        except Exception as error:
            # What is in MLflow already is worth showing.
            sentences.append(f"Not all of sweep {name} is in MLflow: {str(error).splitlines()[0]}")
    return sentences
