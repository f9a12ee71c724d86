"""A sweep as data: a YAML plan -> strict dataclasses -> cells."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rl_sched.config import ExperimentConfig, apply_overrides, build, content_id, read_yaml, to_dict
from rl_sched.errors import ConfigError
from rl_sched.sweeps.arms import arms_of, reference_of
from rl_sched.sweeps.cell import Cell as Cell
from rl_sched.sweeps.goals import Goal
from rl_sched.sweeps.settings import Budget, EarlyStop, Population, Report, Retries, SamplerConfig
from rl_sched.sweeps.space import Distribution


@dataclass(frozen=True, slots=True)
class Plan:
    """One sweep."""

    name: str
    question: str
    seeds: tuple[int, ...]  #: of the training runs of every arm
    arms: dict[str, tuple[Any, ...]] = field(default_factory=dict)  #: dotted setting -> its values
    scenarios: tuple[str, ...] = ("default",)
    design: str = "grid"  #: which arms ``arms`` makes: grid | leave_one_out | add_one_in
    listed: dict[str, dict[str, Any]] = field(default_factory=dict)  #: further arms: name -> dotted settings
    base: dict[str, Any] = field(default_factory=dict)  #: settings of all arms, over the experiment's defaults
    per_scenario: dict[str, dict[str, Any]] = field(default_factory=dict)  #: scenario -> settings over ``base``
    search: dict[str, Distribution] = field(default_factory=dict)  #: dotted setting -> what Optuna may try in each arm
    objectives: tuple[Goal, ...] = ()  #: of the search, on VAL; () = what each scenario is judged by
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    early_stop: EarlyStop = field(default_factory=EarlyStop)
    population: Population | None = None  #: population based training in each arm
    budget: Budget = field(default_factory=Budget)
    retries: Retries = field(default_factory=Retries)
    report: Report = field(default_factory=Report)
    max_concurrent: int = 2  #: trials at a time, one CPU each
    quick: dict[str, Any] = field(default_factory=dict)  #: what --quick changes in this plan
    overrides: tuple[str, ...] = ()  #: settings given on the command line, over ``base`` and ``per_scenario``
    storage: str | None = None  #: SQLAlchemy URL of the search's studies; None = SQLite beside the ledger

    def arm_settings(self) -> dict[str, dict[str, Any]]:
        """Arm name -> its dotted settings, in the order of the plan."""
        return arms_of(self.design, self.arms, self.listed)

    def experiment(self, scenario: str, seed: int, settings: Mapping[str, Any]) -> ExperimentConfig:
        """The experiment of a cell; ``settings`` are the arm's, and the searched ones."""
        data = merge(self.base, self.per_scenario.get(scenario, {}))
        data = apply_overrides(data, self.overrides)
        for path, value in {**settings, "scenario": scenario, "seed": seed}.items():
            data = merge(data, _nested(path, value))
        try:
            return build(ExperimentConfig, data)
        except ConfigError as error:
            raise ConfigError(f"Plan {self.name!r}: {error}") from None

    def cell(self, arm: str, scenario: str, seed: int, searched: Mapping[str, Any] | None = None) -> Cell:
        """The cell of an arm, a scenario, a training seed and, in a search, what Optuna chose.

        With a population, the cell is its result: what the best member has become.
        """
        return self._cell(arm, self.arm_settings()[arm], scenario, seed, dict(searched or {}))

    def _cell(self, arm: str, of_arm: Mapping[str, Any], scenario: str, seed: int, searched: dict[str, Any]) -> Cell:
        settings = {**of_arm, **searched}
        experiment = to_dict(self.experiment(scenario, seed, settings))
        goals = tuple(goal.metric for goal in self.objectives)
        population = to_dict(self.population) if self.population is not None else {}
        return Cell(arm, scenario, seed, searched, experiment, self.report.episodes, goals, population)

    def cells(self, scenarios: Sequence[str] | None = None) -> list[Cell]:
        """All cells of a plan without a search, seed by seed, so that arms can be compared early."""
        chosen = self.scenarios if scenarios is None else scenarios
        arms = self.arm_settings()
        return [
            self._cell(arm, settings, scenario, seed, {})
            for seed in self.seeds
            for scenario in chosen
            for arm, settings in arms.items()
        ]

    @property
    def sweep_id(self) -> str:
        """Identifies what a trial of this sweep is; more scenarios, arms or seeds extend the same sweep."""
        parts = {"name": self.name, "base": self.base, "per_scenario": self.per_scenario, "set": list(self.overrides)}
        search = {path: to_dict(dimension) for path, dimension in self.search.items()}
        for dimension in search.values():
            if self.sampler.name != "grid":
                dimension.pop("points")
        # Only what is not a default: ids of plans that know nothing of it stay as they are.
        more: dict[str, Any] = {}
        if self.objectives:
            more["objectives"] = [to_dict(goal) for goal in self.objectives]
        if self.sampler != SamplerConfig():
            more["sampler"] = to_dict(self.sampler)
        if self.population is not None:
            more["population"] = to_dict(self.population)
        return content_id({**parts, "search": search, "episodes": self.report.episodes, **more})


def load_plan(path: str | Path, *, quick: bool = False, overrides: Sequence[str] = ()) -> Plan:
    """Reads and checks a plan.

    Args:
        path: The YAML file.
        quick: Apply the plan's ``quick`` block.
        overrides: ``a.b=value`` for the experiment, ``plan.a.b=value`` for the plan itself.

    Raises:
        ConfigError: The file is missing, a key is unknown, or a value does not fit.
    """
    from rl_sched.sweeps.plan_checks import check_plan

    data = read_yaml(path)
    if quick:
        data = merge(data, data.get("quick") or {})
        data["name"] = f"{data.get('name', Path(path).stem)}-quick"
    data = apply_overrides(data, [text[len("plan.") :] for text in overrides if text.startswith("plan.")])
    data["overrides"] = [text for text in overrides if not text.startswith("plan.")]
    plan = build(Plan, data)
    check_plan(plan)
    if plan.report.reference is None and (reference := reference_of(plan.design, plan.arms)) is not None:
        plan = dataclasses.replace(plan, report=dataclasses.replace(plan.report, reference=reference))
    return plan


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the values of ``over``, group by group; a list replaces a list."""
    out = json.loads(json.dumps(base))
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(out.get(key), Mapping)
        out[key] = merge(out[key], value) if both else value
    return out


def _nested(path: str, value: Any) -> dict[str, Any]:
    first, _, rest = path.partition(".")
    return {first: _nested(rest, value) if rest else value}
