"""Joins Ray Tune to one Optuna study for each kind of placement and sampler. The studies on disk are the truth.

The searcher of ``rl_sched.sweeps`` is not this one's: its unit is a training run, whose settings are an experiment's,
which has checkpoints to continue from, a VAL curve to be stopped by, and a learned policy that is judged at the end.
A trial here is a function of three numbers that takes seconds and ends in two.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState
from ray.tune.search import Searcher

from experiments.jps_judge import KINDS
from rl_sched.tracking.spool import JsonlSpool

SEED = 20240
RANDOM_FIRST, POPULATION = 8, 10


def make_sampler(name: str, seed: int) -> BaseSampler:
    """The sampler of a study; ``grid`` is a list of points that are enqueued, and random beyond it."""
    if name == "tpe":
        return TPESampler(seed=seed, n_startup_trials=RANDOM_FIRST, constant_liar=True)
    return NSGAIISampler(population_size=POPULATION, seed=seed) if name == "nsga2" else RandomSampler(seed=seed)


class StudySearcher(Searcher):
    """Asks the studies in turns until each has its trials.

    Args:
        samplers: Names of the studies of each kind.
        trials: Finished trials that each study shall have.
        space: alpha, beta, samples -> (low, high).
        grid: Points of the study ``grid``.
        folder: Where the studies are kept.
        spool: Where every finished trial is recorded.
        parent: Key of the search's run.
        max_concurrent: Trials at a time.
    """

    def __init__(
        self,
        samplers: Sequence[str],
        trials: int,
        space: Mapping[str, Sequence[float]],
        grid: Sequence[dict[str, Any]],
        folder: Path,
        spool: JsonlSpool,
        parent: str,
        max_concurrent: int,
    ) -> None:
        super().__init__()  # no metric: with one, Tune ends everything if a report lacks it
        optuna.logging.set_verbosity(logging.ERROR)
        self._trials, self._space, self._spool, self._parent = trials, space, spool, parent
        self._cap = max_concurrent
        storage = optuna.storages.RDBStorage(f"sqlite:///{folder.resolve() / 'study.db'}")
        self.studies = {(kind, name): _study(storage, kind, name, grid) for kind in KINDS for name in samplers}
        for (kind, name), study in self.studies.items():
            for left in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
                self._record(kind, name, left, None)  # of a driver that was killed
                study.tell(left.number, state=TrialState.FAIL)
        self._live: dict[str, tuple[str, str, optuna.Trial]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune pickles its searcher for a restore that is never made

    def left(self, key: tuple[str, str]) -> int:
        """Trials of a study that are still to be started."""
        trials = self.studies[key].get_trials(deepcopy=False)
        failed = sum(t.state == TrialState.FAIL for t in trials)
        if failed > self._trials:  # a search in which everything fails must end
            return 0
        done = sum(t.state == TrialState.COMPLETE for t in trials)
        return self._trials - done - sum((kind, name) == key for kind, name, _ in self._live.values())

    def set_max_concurrency(self, max_concurrent: int) -> bool:
        """Says that we limit concurrency ourselves."""
        return True

    def suggest(self, trial_id: str) -> Any:
        """The next configuration, None = none now, ``FINISHED`` = none ever again."""
        key = max(self.studies, key=self.left)
        if self.left(key) <= 0:
            # None while nothing runs would make Tune sleep for ten minutes.
            return None if self._live else Searcher.FINISHED
        if len(self._live) >= self._cap:
            return None
        asked = self.studies[key].ask()
        self._live[trial_id] = (*key, asked)
        (a_low, a_high), (b_low, b_high), (n_low, n_high) = (self._space[k] for k in ("alpha", "beta", "samples"))
        return {
            "kind": key[0],
            "alpha": asked.suggest_float("alpha", a_low, a_high),
            "beta": asked.suggest_float("beta", b_low, b_high),
            "samples": asked.suggest_int("samples", int(n_low), int(n_high), log=True),
        }

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tells the study, and records the trial."""
        if trial_id not in self._live:
            return
        kind, name, asked = self._live.pop(trial_id)
        found = None if error or not result or "cost" not in result else (result["cost"], result["unfairness"])
        # Recorded first: what a study calls finished is in MLflow, whenever the driver is killed.
        self._record(kind, name, asked, found)
        self.studies[kind, name].tell(asked, found, state=TrialState.FAIL if found is None else None)

    def _record(
        self, kind: str, name: str, trial: optuna.Trial | FrozenTrial, found: tuple[float, float] | None
    ) -> None:
        """Writes the run of a trial; ``found`` is its cost and unfairness, None = it failed."""
        run = self._spool.start_run(
            f"{self._parent}/{kind}/{name}/{trial.number}", name=f"{kind}, {name}, trial {trial.number}",
            kind="trial", parent=self._parent, tags={"sampler": name, "placement": kind},
        )  # fmt: skip
        self._spool.log_params(run, trial.params)
        if found is not None:
            self._spool.log_metrics(run, {"eval/cost": found[0], "eval/unfairness": found[1]}, 0)
        self._spool.end_run(run, "FAILED" if found is None else "FINISHED")

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """One report a trial: all is said at its end."""

    def save(self, checkpoint_path: str) -> None:
        """Writes an empty file."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""


def _study(
    storage: optuna.storages.BaseStorage, kind: str, sampler: str, grid: Sequence[dict[str, Any]]
) -> optuna.Study:
    """Opens a study, or makes it."""
    name = f"{kind}/{sampler}"
    known = name in optuna.study.get_all_study_names(storage)
    # A continued study must not repeat its draws.
    seed = SEED + (len(optuna.load_study(study_name=name, storage=storage).trials) if known else 0)
    study = optuna.create_study(
        storage=storage, study_name=name, directions=["minimize"] * 2, sampler=make_sampler(sampler, seed),
        load_if_exists=True,
    )  # fmt: skip
    if sampler == "grid" and not known:
        for point in grid:
            study.enqueue_trial(point)
    return study
