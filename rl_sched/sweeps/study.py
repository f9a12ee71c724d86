"""A search: Optuna suggests configurations, each judged over the plan's training seeds.

Optuna's unit is a configuration, not a training run. Its first seed is trained; a configuration that is among the
best so far goes on to all seeds and is COMPLETE with their mean, the others are PRUNED. A first seed whose VAL curve
is worse than the median of the others at the same point is stopped half-way, PRUNED too. A configuration whose
training fails is FAIL. The studies live in a SQLite file beside the ledger; decisions are written to it before anyone
acts on them, so that a killed driver finds them again.
"""

from __future__ import annotations

import logging
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from rl_sched.sweeps.ledger import Ledger, Outcome
from rl_sched.sweeps.plan import Cell, Distribution, Plan
from rl_sched.sweeps.source import Amount

#: Configurations drawn at random before the sampler learns, and curves to compare with before any is stopped.
RANDOM_FIRST = 5
CURVES_FIRST = 4
#: Fraction of a VAL curve that is never judged.
WARMUP = 0.34
#: Seed of the sampler; the number of known configurations is added, or a continued study would repeat its draws.
SAMPLER_SEED = 20240
#: How often a configuration that was already suggested is drawn again.
MAX_REPEATS = 20


@dataclass
class _Unit:
    """A configuration on its way through its seeds."""

    study: optuna.Study
    trial: optuna.Trial
    cells: list[Cell]  #: one per training seed, in the plan's order
    allowed: int = 1  #: how many of them may run
    started: set[str] = field(default_factory=set)  #: cell ids
    values: dict[str, float] = field(default_factory=dict)  #: cell id -> objective
    curve_points: set[int] = field(default_factory=set)

    def waiting(self) -> list[Cell]:
        """Cells that may be started now."""
        return [c for c in self.cells[: self.allowed] if c.id not in self.values and c.id not in self.started]


class StudySource:
    """The cells of a plan with a search: one study per arm and scenario.

    Args:
        plan: The plan; its ``search`` is not empty.
        scenarios: The scenarios that can run.
        ledger: Where cells leave their outcomes, and beside which the studies are kept.
    """

    def __init__(self, plan: Plan, scenarios: Sequence[str], ledger: Ledger) -> None:
        # Its warnings are about our own way of re-opening trials; errors still show.
        optuna.logging.set_verbosity(logging.ERROR)
        self._plan, self._ledger = plan, ledger
        self._units: list[_Unit] = []
        self._by_cell: dict[str, _Unit] = {}
        self._studies: dict[tuple[str, str], optuna.Study] = {}
        self.tolerant = False
        storage = optuna.storages.RDBStorage(_storage(ledger))
        for scenario in scenarios:
            for arm in plan.arm_settings():
                name = _study_name(plan, arm, scenario)
                known = name in optuna.study.get_all_study_names(storage)
                seed = SAMPLER_SEED + (len(optuna.load_study(study_name=name, storage=storage).trials) if known else 0)
                study = optuna.create_study(
                    storage=storage,
                    study_name=name,
                    load_if_exists=True,
                    direction="minimize",
                    sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=RANDOM_FIRST, constant_liar=True),
                )
                self._studies[arm, scenario] = study
                for frozen in study.get_trials(deepcopy=False):
                    self._adopt(arm, scenario, study, frozen)

    def next(self) -> Cell | None:
        """See ``Source``. Configurations that have begun come first."""
        for unit in self._units:
            if waiting := unit.waiting():
                return self._start(unit, waiting[0])
        for (arm, scenario), study in self._studies.items():
            while self._may_ask(study):
                asked = self._ask(arm, scenario, study)
                if asked is not None and (waiting := asked.waiting()):
                    return self._start(asked, waiting[0])
        return None

    def on_val(self, cell: Cell, step: int, value: float) -> bool:
        """See ``Source``. Only a configuration's first seed is judged by its curve."""
        unit = self._by_cell.get(cell.id)
        if unit is None or cell.id != unit.cells[0].id or not math.isfinite(value):
            return False
        # Counted in validations, so that configurations with other batch sizes meet at the same points.
        every = max(int(cell.experiment["train"]["val_every"]), 1)
        point = round(step / every)
        if point in unit.curve_points:
            return False
        unit.curve_points.add(point)
        unit.trial.report(value, point)
        if step < WARMUP * cell.steps or step >= cell.steps or not _is_behind(unit, point):
            return False
        self._tell(unit, TrialState.PRUNED)
        return True

    def on_done(self, cell: Cell, outcome: Outcome) -> None:
        """See ``Source``."""
        self.tolerant = True
        unit = self._by_cell.get(cell.id)
        if unit is not None:
            unit.values[cell.id] = outcome.objective
            self._advance(unit)

    def on_failed(self, cell: Cell) -> None:
        """See ``Source``."""
        unit = self._by_cell.get(cell.id)
        if unit is not None:
            self._tell(unit, TrialState.FAIL)

    def amount(self) -> Amount:
        """See ``Source``."""
        total = len(self._studies) * self._plan.budget.configurations
        told = sum(
            trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
            for study in self._studies.values()
            for trial in study.get_trials(deepcopy=False)
        )
        steps = float(self._plan.experiment(self._plan.scenarios[0], 0, self._any_settings()).train.steps)
        per_configuration = 1 + self._plan.budget.survivors * (len(self._plan.seeds) - 1)
        return Amount(told, max(total, told), "configurations", steps * per_configuration * max(total - told, 0))

    def _any_settings(self) -> Mapping[str, Any]:
        return next(iter(self._plan.arm_settings().values()))

    def _may_ask(self, study: optuna.Study) -> bool:
        trials = study.get_trials(deepcopy=False)
        good = sum(trial.state != TrialState.FAIL for trial in trials)
        limit = self._plan.budget.configurations
        # The second bound ends a search in which everything fails.
        return good < limit and len(trials) < 2 * limit + MAX_REPEATS

    def _start(self, unit: _Unit, cell: Cell) -> Cell:
        unit.started.add(cell.id)
        return cell

    def _ask(self, arm: str, scenario: str, study: optuna.Study) -> _Unit | None:
        """Opens a new configuration; None if Optuna repeated itself and the repetition was closed."""
        trial = study.ask()
        searched = {path: _suggest(trial, path, dimension) for path, dimension in self._plan.search.items()}
        # Two cells with the same settings would be two writers in one folder.
        twin = next((t for t in study.get_trials(deepcopy=False) if _is_twin(t, trial)), None)
        if twin is None:
            return self._open(arm, scenario, study, trial, searched)
        if twin.state == TrialState.COMPLETE:
            study.tell(trial, twin.value)
        else:
            study.tell(trial, state=TrialState.FAIL)
        return None

    def _adopt(self, arm: str, scenario: str, study: optuna.Study, frozen: FrozenTrial) -> None:
        """Takes over a configuration that a killed driver has left RUNNING."""
        if frozen.state == TrialState.COMPLETE:
            self.tolerant = True
        if frozen.state != TrialState.RUNNING:
            return
        if set(frozen.params) != set(self._plan.search):
            study.tell(frozen.number, state=TrialState.FAIL, skip_if_finished=True)
            return
        # Optuna has no public way to get the object back that reports and prunes.
        trial = optuna.trial.Trial(study, frozen._trial_id)
        self._open(arm, scenario, study, trial, frozen.params)

    def _open(
        self, arm: str, scenario: str, study: optuna.Study, trial: optuna.Trial, searched: Mapping[str, Any]
    ) -> _Unit:
        cells = [self._plan.cell(arm, scenario, seed, searched) for seed in self._plan.seeds]
        done = {cell.id: outcome.objective for cell in cells if (outcome := self._ledger.outcome(cell)) is not None}
        reported = study.get_trials(deepcopy=False)[trial.number].intermediate_values
        unit = _Unit(study, trial, cells, values=done, curve_points=set(reported))
        trial.set_user_attr("cells", [cell.id for cell in cells])
        self._units.append(unit)
        self._by_cell.update({cell.id: unit for cell in cells})
        self._advance(unit)
        return unit

    def _advance(self, unit: _Unit) -> None:
        """Decides what follows from the seeds that are done."""
        first = unit.values.get(unit.cells[0].id)
        if first is None:
            return
        if not all(math.isfinite(value) for value in unit.values.values()):
            self._tell(unit, TrialState.FAIL)
        elif len(unit.values) == len(unit.cells):
            self._tell(unit, TrialState.COMPLETE, statistics.fmean(unit.values.values()))
        elif self._promoted(unit, first):
            unit.allowed = len(unit.cells)
        else:
            if not unit.curve_points:
                unit.trial.report(first, 0)
            self._tell(unit, TrialState.PRUNED)

    def _promoted(self, unit: _Unit, value: float) -> bool:
        """Whether a configuration goes on to all seeds; decided once, and written down before it is acted on."""
        if (known := unit.trial.user_attrs.get("promoted")) is not None:
            return bool(known)
        unit.trial.set_user_attr("first_value", value)
        others = [t for t in unit.study.get_trials(deepcopy=False) if t.number != unit.trial.number]
        first = [t.user_attrs["first_value"] for t in others if "first_value" in t.user_attrs]
        # Those stopped half-way count as worse.
        judged = len(first) + sum(t.state == TrialState.PRUNED and "first_value" not in t.user_attrs for t in others)
        places = max(1, math.ceil(self._plan.budget.survivors * (judged + 1)))
        promoted = sum(other < value for other in first) < places
        unit.trial.set_user_attr("promoted", promoted)
        return promoted

    def _tell(self, unit: _Unit, state: TrialState, value: float | None = None) -> None:
        if unit in self._units:
            self._units.remove(unit)
            unit.study.tell(unit.trial.number, value, state=state, skip_if_finished=True)


def _is_behind(unit: _Unit, point: int) -> bool:
    """Whether a curve's best value so far is worse than the median of the other configurations' at the same point.

    Optuna's own median pruner knows COMPLETE configurations only; here these are the survivors, a biased sample.
    """
    trials = unit.study.get_trials(deepcopy=False)
    curves = [t.intermediate_values for t in trials if t.number != unit.trial.number and t.state != TrialState.FAIL]
    others = [_best_until(curve, point) for curve in curves if any(p >= point for p in curve)]
    own = _best_until(trials[unit.trial.number].intermediate_values, point)
    return len(others) >= CURVES_FIRST and own > statistics.median(others)


def _best_until(curve: Mapping[int, float], point: int) -> float:
    return min((value for p, value in curve.items() if p <= point), default=math.inf)


def best_configuration(plan: Plan, arm: str, scenario: str, ledger: Ledger) -> dict[str, Any] | None:
    """What the search of an arm chose: the configuration with the best mean over all seeds; None if there is none."""
    optuna.logging.set_verbosity(logging.ERROR)
    try:
        study = optuna.load_study(study_name=_study_name(plan, arm, scenario), storage=_storage(ledger))
    except KeyError:
        return None
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return dict(min(complete, key=lambda t: t.value).params) if complete else None


def _storage(ledger: Ledger) -> str:
    return f"sqlite:///{ledger.root.resolve() / 'study.db'}"


def _study_name(plan: Plan, arm: str, scenario: str) -> str:
    return f"{plan.sweep_id}/{arm}/{scenario}"


def _suggest(trial: optuna.Trial, path: str, dimension: Distribution) -> Any:
    if dimension.kind == "categorical":
        return trial.suggest_categorical(path, dimension.choices)
    assert dimension.low is not None and dimension.high is not None  # checked when the plan was read
    if dimension.kind == "int":
        return trial.suggest_int(path, int(dimension.low), int(dimension.high), log=dimension.log)
    return trial.suggest_float(path, dimension.low, dimension.high, log=dimension.log)


def _is_twin(other: FrozenTrial, trial: optuna.Trial) -> bool:
    return other.number < trial.number and other.params == trial.params and other.state != TrialState.FAIL
