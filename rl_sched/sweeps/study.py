"""A search: Optuna suggests configurations, each judged over the plan's training seeds.

Optuna's unit is a configuration, not a training run. Its first seed is trained; what is among the best so far goes on
to three seeds, to five, to all, and is COMPLETE with their mean; the others are PRUNED. A first seed whose VAL curve
falls behind the others' is stopped half-way, PRUNED too, with the step it reached. A configuration of which one seed
fails is FAIL: a crash is never averaged away. Decisions are written to the study before anyone acts on them, so that a
killed driver finds them again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from rl_sched.sweeps import studies
from rl_sched.sweeps.goals import costs_of
from rl_sched.sweeps.ledger import Ledger, Outcome
from rl_sched.sweeps.plan import Cell, Distribution, Plan
from rl_sched.sweeps.samplers import make_sampler
from rl_sched.sweeps.samplers.base import Sampler
from rl_sched.sweeps.source import Amount
from rl_sched.sweeps.stoppers import STOPPERS
from rl_sched.sweeps.studies import best_configuration as best_configuration
from rl_sched.sweeps.widening import Unit, promoted

#: Seed of the sampler; the number of known configurations is added, or a continued study would repeat its draws.
SAMPLER_SEED = 20240
#: How often a configuration that was already suggested is drawn again.
MAX_REPEATS = 20


class _Arm:
    """The study of one arm on one scenario."""

    def __init__(self, arm: str, scenario: str, study: optuna.Study, sampler: Sampler, limit: int) -> None:
        self.arm, self.scenario, self.study, self.sampler, self.limit = arm, scenario, study, sampler, limit

    def asked(self) -> int:
        """Configurations that count against the budget."""
        trials = self.study.get_trials(deepcopy=False)
        return sum(t.state != TrialState.FAIL and studies.EXTENDS not in t.user_attrs for t in trials)

    def may_ask(self) -> bool:
        trials = self.study.get_trials(deepcopy=False)
        if any(t.state == TrialState.WAITING for t in trials):
            return True
        # The second bound ends a search in which everything fails.
        return self.asked() < self.limit and len(trials) < 2 * self.limit + MAX_REPEATS


class StudySource:
    """The cells of a plan with a search: one study per arm and scenario.

    Args:
        plan: The plan; its ``search`` is not empty.
        scenarios: The scenarios that can run.
        ledger: Where cells leave their outcomes, and beside which the studies are kept.
    """

    def __init__(self, plan: Plan, scenarios: Sequence[str], ledger: Ledger) -> None:
        self._plan, self._ledger = plan, ledger
        self._units: list[Unit] = []
        self._by_cell: dict[str, Unit] = {}
        self._arms: list[_Arm] = []
        self._stop = STOPPERS.load(plan.early_stop.rule)
        self.tolerant = False
        storage = studies.open_storage(plan, ledger)
        known = set(optuna.study.get_all_study_names(storage))
        goals = max(len(plan.objectives), 1)
        size = math.prod(len(dimension.grid()) for dimension in plan.search.values())
        for scenario in scenarios:
            for arm in plan.arm_settings():
                name = studies.study_name(plan, arm, scenario)
                seed = SAMPLER_SEED
                if name in known:
                    seed += len(optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False))
                sampler = make_sampler(plan.sampler, plan.search, seed, goals)
                study = optuna.create_study(
                    storage=storage,
                    study_name=name,
                    load_if_exists=True,
                    directions=studies.directions(plan.objectives),
                    sampler=sampler.optuna,
                )
                limit = plan.budget.configurations
                one = _Arm(arm, scenario, study, sampler, min(limit, size) if sampler.finite else limit)
                self._arms.append(one)
                if name in known:
                    self._extend(study)
                    for frozen in study.get_trials(deepcopy=False):
                        self._adopt(one, frozen)

    def next(self) -> Cell | None:
        """See ``Source``. Configurations that have begun come first, then the arm that has had the fewest."""
        for unit in self._units:
            if waiting := unit.waiting():
                return self._start(unit, waiting[0])
        while able := [one for one in self._arms if one.may_ask()]:
            asked = self._ask(min(able, key=_Arm.asked))
            if asked is not None and (waiting := asked.waiting()):
                return self._start(asked, waiting[0])
        return None

    def on_val(self, cell: Cell, step: int, value: float) -> bool:
        """See ``Source``. Only a configuration's first seed is judged by its curve, which shows one objective."""
        unit = self._by_cell.get(cell.id)
        if unit is None or self._plan.objectives or cell.id != unit.cells[0].id or not math.isfinite(value):
            return False
        # Counted in validations, so that configurations with other batch sizes meet at the same points.
        every = _val_every(cell)
        point = max(step // every, 1)
        if point * every in unit.reported:
            return False
        unit.reported.add(point * every)
        unit.trial.report(value, point * every)
        early = self._plan.early_stop
        if step < early.warmup_frac * cell.steps or step >= cell.steps:
            return False
        trials = unit.study.get_trials(deepcopy=False)
        curves = {t.number: _points(t, every) for t in trials if t.state != TrialState.FAIL}
        own = curves.pop(unit.trial.number)
        others = [curve for curve in curves.values() if any(p >= point for p in curve)]
        if len(others) < early.curves or not self._stop(own, others, point, early.keep):
            return False
        self._prune(unit, step)
        return True

    def on_done(self, cell: Cell, outcome: Outcome) -> None:
        """See ``Source``."""
        self.tolerant = True
        unit = self._by_cell.get(cell.id)
        if unit is not None:
            unit.costs[cell.id] = self._costs(outcome)
            self._advance(unit)

    def on_failed(self, cell: Cell) -> None:
        """See ``Source``."""
        unit = self._by_cell.get(cell.id)
        if unit is not None:
            self._tell(unit, TrialState.FAIL)

    def amount(self) -> Amount:
        """See ``Source``."""
        total = sum(one.limit for one in self._arms)
        told = sum(
            trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
            for one in self._arms
            for trial in one.study.get_trials(deepcopy=False)
        )
        one = self._arms[0]
        settings = self._plan.arm_settings()[one.arm]
        steps = float(self._plan.experiment(one.scenario, 0, settings).train.steps)
        steps *= self._plan.budget.trials_per_configuration(len(self._plan.seeds))
        left = len(self._units) + max(total - told - len(self._units), 0)
        return Amount(told, max(total, told + len(self._units)), "configurations", steps * left)

    def _costs(self, outcome: Outcome) -> tuple[float, ...]:
        return costs_of(self._plan.objectives, outcome.objective, outcome.metrics)

    def _start(self, unit: Unit, cell: Cell) -> Cell:
        unit.started.add(cell.id)
        return cell

    def _ask(self, one: _Arm) -> Unit | None:
        """Opens a new configuration; None if Optuna repeated itself and the repetition was closed."""
        informed = one.sampler.informed(one.study)
        trial = one.study.ask()
        searched = {path: _suggest(trial, path, dimension) for path, dimension in self._plan.search.items()}
        if studies.EXTENDS in trial.user_attrs:
            return self._open(one, trial, searched)
        trial.set_user_attr(studies.INFORMED, informed)
        # Two cells with the same settings would be two writers in one folder.
        twin = next((t for t in one.study.get_trials(deepcopy=False) if _is_twin(t, trial)), None)
        if twin is None:
            return self._open(one, trial, searched)
        if twin.state == TrialState.COMPLETE:
            one.study.tell(trial, twin.values)
        else:
            one.study.tell(trial, state=TrialState.FAIL)
        return None

    def _extend(self, study: optuna.Study) -> None:
        """Asks for more seeds of the best configurations of a study that was judged over fewer than the plan has now.

        What a study was told stays; the same configuration comes again with all seeds, of which it has some already.
        """
        trials = study.get_trials(deepcopy=False)
        best = studies.complete_of(trials)
        seeds = len(self._plan.seeds)
        if not best or len(studies.cells_of(best[0])) >= seeds:
            return
        replaced = {t.user_attrs[studies.EXTENDS] for t in trials if studies.EXTENDS in t.user_attrs}
        signs = [goal.sign for goal in self._plan.objectives] or [1.0]
        best.sort(key=lambda t: signs[0] * t.values[0])
        for trial in best[: max(1, math.ceil(self._plan.budget.survivors * len(best)))]:
            if trial.number not in replaced:
                study.enqueue_trial(trial.params, user_attrs={studies.EXTENDS: trial.number})

    def _adopt(self, one: _Arm, frozen: FrozenTrial) -> None:
        """Takes over a configuration that a killed driver has left RUNNING."""
        if frozen.state == TrialState.COMPLETE:
            self.tolerant = True
        if frozen.state != TrialState.RUNNING:
            return
        if set(frozen.params) != set(self._plan.search):
            one.study.tell(frozen.number, state=TrialState.FAIL, skip_if_finished=True)
            return
        # Optuna has no public way to get the object back that reports and prunes.
        trial = optuna.trial.Trial(one.study, frozen._trial_id)
        self._open(one, trial, frozen.params)

    def _open(self, one: _Arm, trial: optuna.Trial, searched: Mapping[str, Any]) -> Unit:
        cells = [self._plan.cell(one.arm, one.scenario, seed, searched) for seed in self._plan.seeds]
        done = {c.id: self._costs(outcome) for c in cells if (outcome := self._ledger.outcome(c)) is not None}
        reported = one.study.get_trials(deepcopy=False)[trial.number].intermediate_values
        extends = studies.EXTENDS in trial.user_attrs
        # What has survived already goes on without being judged again.
        stages = [len(cells)] if extends else self._plan.budget.stages_of(len(cells))
        unit = Unit(one.study, trial, cells, stages, costs=done, reported=set(reported))
        trial.set_user_attr(studies.CELLS, [cell.id for cell in cells])
        self._units.append(unit)
        self._by_cell.update({cell.id: unit for cell in cells})
        self._advance(unit)
        return unit

    def _advance(self, unit: Unit) -> None:
        """Decides what follows from the seeds that are done."""
        while (costs := unit.mean_costs()) is not None:
            if not all(math.isfinite(cost) for cost in costs):
                return self._tell(unit, TrialState.FAIL)
            if unit.last_stage:
                signs = [goal.sign for goal in self._plan.objectives] or [1.0]
                return self._tell(unit, TrialState.COMPLETE, [s * cost for s, cost in zip(signs, costs, strict=True)])
            if not promoted(unit, costs, self._plan.budget.survivors):
                if not unit.reported and not self._plan.objectives:
                    unit.trial.report(costs[0], unit.cells[0].steps)
                return self._prune(unit, unit.cells[0].steps)
            unit.stage += 1

    def _prune(self, unit: Unit, step: int) -> None:
        if unit in self._units:
            unit.trial.set_user_attr(studies.STEPS, step)
            self._tell(unit, TrialState.PRUNED)

    def _tell(self, unit: Unit, state: TrialState, values: list[float] | None = None) -> None:
        if unit in self._units:
            self._units.remove(unit)
            unit.study.tell(unit.trial.number, values, state=state, skip_if_finished=True)


def _val_every(cell: Cell) -> int:
    return max(int(cell.experiment["train"]["val_every"]), 1)


def _points(trial: FrozenTrial, every: int) -> dict[int, float]:
    """A VAL curve, by validation instead of by step."""
    return {max(step // every, 1): value for step, value in trial.intermediate_values.items()}


def _suggest(trial: optuna.Trial, path: str, dimension: Distribution) -> Any:
    if dimension.kind == "categorical":
        return trial.suggest_categorical(path, dimension.choices)
    low, high = dimension.bounds
    if dimension.kind == "int":
        return trial.suggest_int(path, int(low), int(high), log=dimension.log)
    return trial.suggest_float(path, low, high, log=dimension.log)


def _is_twin(other: FrozenTrial, trial: optuna.Trial) -> bool:
    return other.number < trial.number and other.params == trial.params and other.state != TrialState.FAIL
