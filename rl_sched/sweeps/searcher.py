"""Joins Ray Tune to a ``Source`` of cells: what to start, what an ended trial means, when to stop.

Tune knows nothing of arms, seeds or Optuna here, and its own experiment state is never restored: whatever happens to
this process, the ledger alone says what is left to do.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from ray import tune
from ray.tune.search import Searcher

from rl_sched.sweeps.cell import Cell, arm_run
from rl_sched.sweeps.failures import INFRASTRUCTURE, LOST, NUMERICS, USER, Failure, full_disk, is_full_disk
from rl_sched.sweeps.ledger import Ledger, write_json
from rl_sched.sweeps.limits import Limits
from rl_sched.sweeps.settings import Retries
from rl_sched.sweeps.source import Source
from rl_sched.sweeps.worker import DISK_FULL
from rl_sched.tracking.spool import JsonlSpool

Say = Callable[[str], None]


class Coordinator(Searcher):
    """The searcher that Tune asks for trials.

    Args:
        source: Decides what runs next.
        ledger: Where cells leave their marks.
        body: The trial's body as ``module:function``.
        sweep: Key of the sweep's run.
        max_concurrent: Trials at a time.
        say: Shows a sentence to the user.
        retries: How often a trial is started again, by what ended it.
        limits: The budget of the sweep.

    Attributes:
        live: Tune's trial id -> cell, of all trials that have not ended.
        steps: Cell id -> environment steps done, as last reported.
        vals: Cell id -> cell and its best VAL point so far.
        failures: Cells whose body raised what is the user's to mend, with what it raised.
        lost: Cells that were given up: their process died too often, or numbers were not finite again.
        limit: What of the budget is used up, if that has kept a trial from starting or running.
        crash: An exception in this class or its source; Tune must not see it, or it hangs or calls again.
    """

    def __init__(
        self,
        source: Source,
        ledger: Ledger,
        body: str,
        sweep: str,
        max_concurrent: int,
        say: Say,
        retries: Retries,
        limits: Limits,
    ) -> None:
        # No metric and no mode: with them, Tune ends the whole sweep if one report lacks the metric.
        super().__init__()
        self.source, self.ledger = source, ledger
        self._body, self._sweep, self._cap = body, sweep, max_concurrent
        self._say = say
        self._stopping = False
        self._requeued: list[Cell] = []
        self._retries = {INFRASTRUCTURE: retries.infrastructure, NUMERICS: retries.numerics}
        self._restarts: Counter[tuple[str, str]] = Counter()
        self._limits = limits
        self._tune_trials: dict[str, Any] = {}
        self._watched = 0
        self.live: dict[str, Cell] = {}
        self.steps: dict[str, float] = {}
        self.vals: dict[str, tuple[Cell, float]] = {}
        self.failures: list[tuple[Cell, Failure]] = []
        self.lost: list[Cell] = []
        self.limit: str | None = None
        self.crash: Exception | None = None

    def __getstate__(self) -> dict[str, Any]:
        # Tune pickles its searcher for a restore that we never do; our members cannot be pickled.
        return {}

    def stop(self) -> None:
        """Starts nothing more and has Tune stop all trials."""
        self._stopping = True

    @property
    def stopping(self) -> bool:
        """True once the sweep has to end early."""
        if not self._stopping and (reason := self._limits.expired()) is not None:
            self.limit, self._stopping = reason, True
        return self._stopping

    def watch(self, trials: list[Any]) -> None:
        """Takes Tune's trial objects, whose status tells of an end that Tune did not announce."""
        # The list only grows, and this is called many times a second.
        for trial in trials[self._watched :]:
            self._tune_trials[trial.trial_id] = trial
        self._watched = len(trials)

    # The calls below are Tune's.

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Says that we limit concurrency ourselves."""
        return True

    def suggest(self, trial_id: str) -> Any:
        """The configuration of the next trial, None = none now, ``FINISHED`` = none ever again."""
        with self.guard():
            self._reconcile()
            if not self.stopping and len(self.live) < self._cap and self._may_start():
                cell = self._requeued.pop(0) if self._requeued else self.source.next()
                if cell is not None:
                    return self._start(trial_id, cell)
        # None while nothing runs would make Tune sleep for ten minutes.
        return None if self.live and not self._stopping else Searcher.FINISHED

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Takes note that a trial has ended, for whatever reason."""
        with self.guard():
            self._settle(trial_id)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Unused: the stopper sees every result, also the last."""

    def save(self, checkpoint_path: str) -> None:
        """Writes an empty file: the ledger is the truth."""
        open(checkpoint_path, "w").close()

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""

    def on_report(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Takes a report of a running trial; True = stop it."""
        with self.guard():
            if DISK_FULL in result:
                raise full_disk(self.ledger.root)
            cell = self.live.get(trial_id)
            if cell is None or "steps" not in result:
                return False
            self.steps[cell.id] = result["steps"]
            if "val" not in result:
                return False
            value = float(result["val"])
            if cell.id not in self.vals or value < self.vals[cell.id][1]:
                self.vals[cell.id] = (cell, value)
            if self.source.on_val(cell, int(result["steps"]), value):
                # The worker reads this file to know why it is stopped.
                write_json(self.ledger.folder(cell) / "stopped.json", {"step": result["steps"], "val": value})
                return True
        return False

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        """Keeps an exception from Tune and ends the sweep with it."""
        try:
            yield
        except Exception as error:
            self.crash = self.crash or (full_disk(self.ledger.root) if is_full_disk(error) else error)
            self._stopping = True

    def _may_start(self) -> bool:
        """Whether the budget and the disk have room for one more trial."""
        if self._limits.disk_is_full():
            raise full_disk(self.ledger.root)
        self.limit = self._limits.reached(list(self.live.values()))
        return self.limit is None

    def _start(self, trial_id: str, cell: Cell) -> dict[str, Any]:
        folder = self.ledger.open_cell(cell)
        (folder / "stopped.json").unlink(missing_ok=True)
        (folder / "failed.json").unlink(missing_ok=True)
        self.live[trial_id] = cell
        # The cell itself is in its folder: Tune copies, flattens and stores a configuration again and again.
        return {"folder": str(folder.resolve()), "body": self._body, "sweep": self._sweep}

    def _reconcile(self) -> None:
        # An actor that could not be reused ends an innocent trial without any call to its searcher.
        for trial_id in list(self.live):
            trial = self._tune_trials.get(trial_id)
            if trial is not None and trial.status in ("ERROR", "TERMINATED"):
                self._settle(trial_id)

    def _settle(self, trial_id: str) -> None:
        cell = self.live.pop(trial_id, None)
        if cell is None:
            return
        self._limits.ended(cell)
        if (outcome := self.ledger.outcome(cell)) is not None:
            self.steps.pop(cell.id, None)
            self.source.on_done(cell, outcome)
        elif (failure := self.ledger.failure(cell)) is not None:
            self._on_failure(cell, failure)
        elif (self.ledger.folder(cell) / "stopped.json").is_file():
            self.steps.pop(cell.id, None)
        elif not self._stopping:
            self._on_death(cell)

    def _on_failure(self, cell: Cell, failure: Failure) -> None:
        what = f"{failure.kind}: {failure.message}"
        if failure.cause == USER:
            self.failures.append((cell, failure))
            self._say(f"Trial {cell.title} failed: {what}")
            self.source.on_failed(cell)
            self._stopping = self._stopping or not self.source.tolerant
        elif self._again(cell, failure.cause, f"Trial {cell.title} failed: {what};"):
            # Its mark goes when it starts.
            pass
        else:
            self._say(f"Trial {cell.title} failed again and is given up: {what}")
            self.lost.append(cell)
            self.source.on_failed(cell)

    def _on_death(self, cell: Cell) -> None:
        if self._again(cell, INFRASTRUCTURE, f"The process of trial {cell.title} died;"):
            return
        self._say(f"The process of trial {cell.title} died again; the trial is given up.")
        self.lost.append(cell)
        failure = Failure(LOST, "its process died again and again (out of memory?)", "", INFRASTRUCTURE)
        write_json(self.ledger.folder(cell) / "failed.json", dataclasses.asdict(failure))
        self.source.on_failed(cell)
        # Its worker is dead, so its spool is ours to close.
        parent = arm_run(self._sweep, cell.arm, cell.scenario)
        spool = JsonlSpool(self.ledger.folder(cell) / "spool.jsonl")
        run = spool.start_run(cell.id, name=cell.title, kind="trial", parent=parent, tags={"outcome": "lost"})
        spool.end_run(run, "FAILED")
        spool.close()

    def _again(self, cell: Cell, cause: str, what: str) -> bool:
        """Puts a cell back in the queue if its budget for this kind of failure allows it."""
        self._restarts[cell.id, cause] += 1
        count, most = self._restarts[cell.id, cause], self._retries[cause]
        if count > most:
            return False
        self._requeued.append(cell)
        self._say(f"{what} it goes on from its last checkpoint (restart {count} of {most}).")
        return True


class Pruner(tune.Stopper):
    """Tune's door to ``Coordinator.on_report`` and ``Coordinator.stop``."""

    def __init__(self, coordinator: Coordinator) -> None:
        self._coordinator = coordinator

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        """True = stop this trial."""
        return self._coordinator.on_report(trial_id, result)

    def stop_all(self) -> bool:
        """True = stop the sweep."""
        return self._coordinator.stopping


class Watcher(tune.Callback):
    """Tune's door to the progress line.

    Args:
        coordinator: Told of Tune's trials.
        on_step: Called about ten times a second.
    """

    def __init__(self, coordinator: Coordinator, on_step: Callable[[], None]) -> None:
        self._coordinator, self._on_step = coordinator, on_step

    def __getstate__(self) -> dict[str, Any]:
        # As for the coordinator: Tune pickles its callbacks, and a terminal cannot be pickled.
        return {}

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Called by Tune after each turn of its loop."""
        with self._coordinator.guard():
            self._coordinator.watch(trials)
            self._on_step()
