"""One configuration of a search on its way through its training seeds: 1, then 3, then 5, for survivors only."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field

import optuna
from optuna.trial import TrialState

from rl_sched.sweeps.cell import Cell
from rl_sched.sweeps.goals import dominators

#: User attributes: the costs after so many seeds, and whether it went on then.
VALUE_AFTER, PROMOTED_AFTER = "costs_after_{}", "promoted_after_{}"


@dataclass
class Unit:
    """A configuration, with the seeds that it may use so far."""

    study: optuna.Study
    trial: optuna.Trial
    cells: list[Cell]  #: one per training seed, in the plan's order
    stages: list[int]  #: numbers of seeds at which it is judged; the last is all
    stage: int = 0
    started: set[str] = field(default_factory=set)  #: cell ids
    costs: dict[str, tuple[float, ...]] = field(default_factory=dict)  #: cell id -> one a goal
    reported: set[int] = field(default_factory=set)  #: steps of its first seed that the study knows

    def waiting(self) -> list[Cell]:
        """Cells that may be started now."""
        return [c for c in self.cells[: self.stages[self.stage]] if c.id not in self.costs and c.id not in self.started]

    def mean_costs(self) -> tuple[float, ...] | None:
        """The mean over the seeds of this stage; None while one of them is not done."""
        costs = [self.costs.get(cell.id) for cell in self.cells[: self.stages[self.stage]]]
        if any(one is None for one in costs):
            return None
        return tuple(statistics.fmean(column) for column in zip(*costs, strict=True))  # type: ignore[arg-type]

    @property
    def last_stage(self) -> bool:
        """Whether all seeds are in use."""
        return self.stage == len(self.stages) - 1


def promoted(unit: Unit, costs: tuple[float, ...], survivors: float) -> bool:
    """Whether a configuration goes on to the next stage; decided once, and written down before it is acted on.

    It does if it is among the fraction ``survivors`` of those judged at this stage so far. With several goals the
    order is by the number of configurations that are better in all of them.
    """
    seeds = unit.stages[unit.stage]
    key, value_key = PROMOTED_AFTER.format(seeds), VALUE_AFTER.format(seeds)
    if (known := unit.trial.user_attrs.get(key)) is not None:
        return bool(known)
    unit.trial.set_user_attr(value_key, list(costs))
    others = [t for t in unit.study.get_trials(deepcopy=False) if t.number != unit.trial.number]
    judged = [tuple(t.user_attrs[value_key]) for t in others if value_key in t.user_attrs]
    everyone = [*judged, costs]
    own = dominators(costs, everyone)
    better = sum(dominators(other, everyone) < own for other in judged)
    # Those stopped half-way count as worse.
    stopped = sum(t.state == TrialState.PRUNED and value_key not in t.user_attrs for t in others)
    places = max(1, math.ceil(survivors * (len(judged) + 1 + (stopped if unit.stage == 0 else 0))))
    unit.trial.set_user_attr(key, better < places)
    return better < places
