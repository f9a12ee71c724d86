"""Where the studies of a search live, and what is read from them: the best configuration, the Pareto front.

One study per arm and scenario, in a SQLite file beside the ledger or in the database that the plan names.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import optuna
from optuna.trial import FrozenTrial, TrialState

from rl_sched.errors import SweepError
from rl_sched.sweeps.goals import Goal, dominates
from rl_sched.sweeps.ledger import Ledger
from rl_sched.sweeps.plan import Plan

#: User attributes of a configuration.
CELLS = "cells"  #: ids of its cells, one per training seed
INFORMED = "informed"  #: whether the sampler had learned something when it suggested it
EXTENDS = "extends"  #: number of the same configuration with fewer training seeds, which this one replaces
STEPS = "steps"  #: environment steps that a pruned configuration reached

STUDY_FILE = "study.db"


class Chosen(NamedTuple):
    """A configuration that was judged over all seeds."""

    searched: dict[str, Any]  #: dotted setting -> value
    values: tuple[float, ...]  #: of the objectives, in their own direction and unit
    seeds: int


class Suggestions(NamedTuple):
    """How the configurations of a search came about."""

    total: int
    informed: int  #: suggested by a sampler that had learned something
    repeated: int  #: suggested before; not run again


def storage_url(plan: Plan, ledger: Ledger) -> str:
    """The address of the database that holds a sweep's studies."""
    return plan.storage or f"sqlite:///{ledger.root.resolve() / STUDY_FILE}"


def open_storage(plan: Plan, ledger: Ledger) -> optuna.storages.RDBStorage:
    """The database that holds a sweep's studies; its tables are made if they are not there.

    Raises:
        SweepError: It cannot be opened.
    """
    # Its warnings are about our own way of re-opening trials; errors still show.
    optuna.logging.set_verbosity(logging.ERROR)
    url = storage_url(plan, ledger)
    try:
        return optuna.storages.RDBStorage(url)
    except ImportError as error:
        raise SweepError(
            f"The storage {url!r} needs a database driver: {str(error).splitlines()[0]} "
            "Install it, for instance: pip install psycopg2-binary."
        ) from None
    except Exception as error:  # of the database's driver, whichever it is
        raise SweepError(f"The storage {url!r} must be reachable: {str(error).splitlines()[0]}") from error


def study_name(plan: Plan, arm: str, scenario: str) -> str:
    """The name of an arm's study on a scenario."""
    return f"{plan.sweep_id}/{arm}/{scenario}"


def directions(goals: Sequence[Goal]) -> list[str]:
    """Of a study with these objectives; without any, a cost is minimised."""
    return [goal.towards for goal in goals] or ["minimize"]


def cells_of(trial: FrozenTrial) -> list[str]:
    """Ids of a configuration's cells."""
    return list(trial.user_attrs.get(CELLS, ()))


def complete_of(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """The configurations that were judged over the most training seeds; of an extended one the longer version."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    most = max((len(cells_of(trial)) for trial in complete), default=0)
    return [trial for trial in complete if len(cells_of(trial)) == most]


def best_configuration(plan: Plan, arm: str, scenario: str, ledger: Ledger) -> dict[str, Any] | None:
    """What the search of an arm chose: the best mean over all seeds, of several objectives that of the first.

    None if no configuration has been judged over all seeds.
    """
    front = pareto_front(plan, arm, scenario, ledger)
    return front[0].searched if front else None


def pareto_front(plan: Plan, arm: str, scenario: str, ledger: Ledger) -> list[Chosen]:
    """The configurations that no other beats in every objective, by the first objective; with one, the best alone."""
    trials = _trials(plan, arm, scenario, ledger)
    signs = [goal.sign for goal in plan.objectives] or [1.0]
    found: dict[tuple[float, ...], FrozenTrial] = {}
    for trial in complete_of(trials):
        found.setdefault(tuple(sign * value for sign, value in zip(signs, trial.values, strict=True)), trial)
    front = sorted(costs for costs in found if not any(dominates(other, costs) for other in found))
    return [Chosen(dict(found[c].params), tuple(found[c].values), len(cells_of(found[c]))) for c in front]


def suggestions(plan: Plan, arm: str, scenario: str, ledger: Ledger) -> Suggestions:
    """How many configurations of an arm were suggested by a sampler that had learned something."""
    trials = [t for t in _trials(plan, arm, scenario, ledger) if EXTENDS not in t.user_attrs]
    repeated = sum(CELLS not in t.user_attrs and t.state.is_finished() for t in trials)
    return Suggestions(len(trials), sum(bool(t.user_attrs.get(INFORMED)) for t in trials), repeated)


def _trials(plan: Plan, arm: str, scenario: str, ledger: Ledger) -> list[FrozenTrial]:
    if plan.storage is None and not (ledger.root / STUDY_FILE).is_file():
        return []
    storage = open_storage(plan, ledger)
    try:
        study = optuna.load_study(study_name=study_name(plan, arm, scenario), storage=storage)
    except KeyError:
        return []
    return study.get_trials(deepcopy=False)
