"""A sweep as data: a YAML plan -> strict dataclasses -> cells.

A cell is one training run: an arm, a scenario and a training seed with every setting resolved. Its id is a hash of
its content, so that the same cell is the same in every plan and on every day.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rl_sched.config import ExperimentConfig, apply_overrides, build, content_id, read_yaml, to_dict
from rl_sched.envs import LOOKAHEADS, REWARDS
from rl_sched.errors import ConfigError
from rl_sched.evaluation.comparison import display
from rl_sched.policies import POLICIES
from rl_sched.registry import did_you_mean
from rl_sched.rl.networks import NETWORKS
from rl_sched.scenarios import SCENARIOS
from rl_sched.scenarios.base import TUNED


@dataclass(frozen=True, slots=True)
class Distribution:
    """One dimension of a search space."""

    kind: str  #: float | int | categorical
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()

    def check(self, path: str) -> None:
        """Raises a ``ConfigError`` that names ``path`` if the fields do not fit together."""
        if self.kind == "categorical":
            if not self.choices:
                raise ConfigError(f"{path}.choices must list at least one value of a categorical.")
        elif self.kind in ("float", "int"):
            if self.low is None or self.high is None or self.low > self.high:
                raise ConfigError(f"{path} must have low <= high; it has low={self.low}, high={self.high}.")
            if self.log and self.low <= 0:
                raise ConfigError(f"{path}.low must be above 0 for log: true; it is {self.low}.")
        else:
            raise ConfigError(f"{path}.kind must be float, int or categorical; it is {self.kind!r}.")


@dataclass(frozen=True, slots=True)
class Budget:
    """How much a search may spend. The steps of one trial are the experiment's ``train.steps``."""

    configurations: int = 16  #: configurations tried per arm and scenario
    survivors: float = 0.34  #: fraction of configurations that go on from the first training seed to all seeds
    steps_per_s: float = 9000.0  #: expected speed of one trial, for --dry-run before anything was measured


@dataclass(frozen=True, slots=True)
class Report:
    """What is measured at the end, on REPORT seeds."""

    episodes: int = 64
    policies: tuple[str, ...] = ()  #: rules beside the arms; empty = all baselines
    reference: str | None = None  #: arm that the others are compared with


@dataclass(frozen=True, slots=True)
class Plan:
    """One sweep."""

    name: str
    question: str
    arms: dict[str, tuple[Any, ...]]  #: dotted setting -> its values; the arms are their product
    seeds: tuple[int, ...]
    scenarios: tuple[str, ...] = ("default",)
    base: dict[str, Any] = field(default_factory=dict)  #: settings of all arms, over the experiment's defaults
    per_scenario: dict[str, dict[str, Any]] = field(default_factory=dict)  #: scenario -> settings over ``base``
    search: dict[str, Distribution] = field(default_factory=dict)  #: dotted setting -> what Optuna may try
    budget: Budget = field(default_factory=Budget)
    report: Report = field(default_factory=Report)
    max_concurrent: int = 2  #: trials at a time, one CPU each
    quick: dict[str, Any] = field(default_factory=dict)  #: what --quick changes in this plan
    overrides: tuple[str, ...] = ()  #: settings given on the command line, over ``base`` and ``per_scenario``

    def arm_settings(self) -> dict[str, dict[str, Any]]:
        """Arm name -> its dotted settings, in the order of the plan."""
        arms = {}
        for values in itertools.product(*self.arms.values()):
            settings = dict(zip(self.arms, values, strict=True))
            arms[arm_name(settings)] = settings
        return arms

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
        """The cell of an arm, a scenario, a training seed and, in a search, what Optuna chose."""
        settings = {**self.arm_settings()[arm], **(searched or {})}
        experiment = to_dict(self.experiment(scenario, seed, settings))
        return Cell(arm, scenario, seed, dict(searched or {}), experiment, self.report.episodes)

    def cells(self, scenarios: Sequence[str] | None = None) -> list[Cell]:
        """All cells of a plan without a search, seed by seed, so that arms can be compared early."""
        chosen = self.scenarios if scenarios is None else scenarios
        return [
            self.cell(arm, scenario, seed) for seed in self.seeds for scenario in chosen for arm in self.arm_settings()
        ]

    @property
    def sweep_id(self) -> str:
        """Identifies what a trial of this sweep is.

        More scenarios or arms extend the same sweep, and so do more seeds, except in a search: what it has judged
        already stays judged by the seeds it had.
        """
        parts = {"name": self.name, "base": self.base, "per_scenario": self.per_scenario, "set": list(self.overrides)}
        search = {path: to_dict(dimension) for path, dimension in self.search.items()}
        return content_id({**parts, "search": search, "episodes": self.report.episodes})


@dataclass(frozen=True, slots=True)
class Cell:
    """One training run with all its settings: the unit that is run once and never again."""

    arm: str
    scenario: str
    seed: int
    searched: dict[str, Any]  #: what a search chose, by dotted setting
    experiment: dict[str, Any]  #: the resolved ``ExperimentConfig`` as plain data
    report_episodes: int

    @property
    def id(self) -> str:
        """16 hex digits of what decides the result."""
        return content_id({"experiment": self.experiment, "report_episodes": self.report_episodes})

    @property
    def steps(self) -> int:
        """Environment steps of the training run."""
        return int(self.experiment["train"]["steps"])

    @property
    def title(self) -> str:
        """For a reader: arm, scenario, what was searched, seed."""
        searched = [f"{path.rpartition('.')[2]}={_short(value)}" for path, value in self.searched.items()]
        return f"{', '.join([display(self.arm), *searched])}; {self.scenario}, seed {self.seed}"


def load_plan(path: str | Path, *, quick: bool = False, overrides: Sequence[str] = ()) -> Plan:
    """Reads and checks a plan.

    Args:
        path: The YAML file.
        quick: Apply the plan's ``quick`` block.
        overrides: ``a.b=value`` for the experiment, ``plan.a.b=value`` for the plan itself.

    Raises:
        ConfigError: The file is missing, a key is unknown, or a value does not fit.
    """
    data = read_yaml(path)
    if quick:
        data = merge(data, data.get("quick") or {})
        data["name"] = f"{data.get('name', Path(path).stem)}-quick"
    data = apply_overrides(data, [text[len("plan.") :] for text in overrides if text.startswith("plan.")])
    data["overrides"] = [text for text in overrides if not text.startswith("plan.")]
    plan = build(Plan, data)
    _check(plan)
    return plan


def _check(plan: Plan) -> None:
    if not plan.name or not all(c.isalnum() or c in "-_." for c in plan.name) or plan.name.startswith("."):
        raise ConfigError(f"name must be letters, digits, '-', '_' or '.'; it is {plan.name!r}.")
    for field_name in ("seeds", "scenarios"):
        values = getattr(plan, field_name)
        if not values or len(set(values)) != len(values):
            raise ConfigError(f"{field_name} must list at least one value and none twice; it is {list(values)!r}.")
    if plan.max_concurrent < 1 or plan.report.episodes < 1 or plan.budget.configurations < 1:
        raise ConfigError("max_concurrent, report.episodes and budget.configurations must be at least 1.")
    for path, values in plan.arms.items():
        if not values:
            raise ConfigError(f"arms.{path} must list at least one value.")
    for path, dimension in plan.search.items():
        dimension.check(f"search.{path}")
        if path in plan.arms:
            raise ConfigError(f"{path} must be either in arms or in search; it is in both.")
    for text in plan.overrides:
        key = text.partition("=")[0].strip()
        if key in plan.arms or key in plan.search or key in ("seed", "scenario"):
            where = "set plan.seeds or plan.scenarios" if key in ("seed", "scenario") else "edit the plan"
            raise ConfigError(f"--set {key} must not be given: the plan varies it. Instead, {where}.")
    arms, reference = plan.arm_settings(), plan.report.reference
    if reference is not None and reference not in arms:
        raise ConfigError(f"report.reference must be one of the arms {', '.join(arms)}; it is {reference!r}.")
    for scenario in plan.scenarios:
        _check_scenario(plan, scenario)
    lowest = {path: (d.choices[0] if d.choices else d.low) for path, d in plan.search.items()}
    choices = [{path: choice} for path, d in plan.search.items() for choice in d.choices]
    for settings in arms.values():
        for scenario in plan.scenarios:
            for change in choices or [{}]:
                _check_names(plan.experiment(scenario, plan.seeds[0], {**settings, **lowest, **change}))


def _check_scenario(plan: Plan, name: str) -> None:
    scenario = SCENARIOS.create(name)
    known = [*POLICIES, *(f"{rule}{TUNED}" for rule in scenario.tuned)]
    for policy in plan.report.policies:
        if policy not in known:
            raise ConfigError(f"report.policies: unknown policy {policy!r}. {did_you_mean(policy, known)}")


def _check_names(experiment: ExperimentConfig) -> None:
    """Looks up what would otherwise be found missing in a worker."""
    NETWORKS[experiment.network.name]
    LOOKAHEADS[experiment.env.lookahead]
    reward, guide = experiment.env.reward, experiment.env.guide.policy
    if reward is not None:
        REWARDS[reward]
    if guide is not None:
        POLICIES[guide.removesuffix(TUNED)]


def arm_name(settings: Mapping[str, Any]) -> str:
    """``factor=level,factor=level``: the form from which a report reads what an arm is made of."""
    return ",".join(f"{path}={_short(value)}" for path, value in settings.items()) or "base"


def arm_run(sweep: str, arm: str, scenario: str) -> str:
    """Key of the run of an arm on a scenario: child of the sweep's run, parent of its trials' runs."""
    return content_id([sweep, arm, scenario])


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


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
