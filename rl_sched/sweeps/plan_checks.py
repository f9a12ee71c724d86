"""What a plan must be, beyond the types of its fields: found when it is read, not in a worker an hour later."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rl_sched.config import ExperimentConfig
from rl_sched.envs import LOOKAHEADS, REWARDS
from rl_sched.errors import ConfigError
from rl_sched.policies import POLICIES
from rl_sched.registry import did_you_mean
from rl_sched.rl.algorithms import ALGORITHMS
from rl_sched.rl.networks import NETWORKS
from rl_sched.scenarios import SCENARIOS
from rl_sched.scenarios.base import TUNED
from rl_sched.sweeps.plan import Plan
from rl_sched.sweeps.samplers import SAMPLERS, make_sampler
from rl_sched.sweeps.stoppers import STOPPERS


def check_plan(plan: Plan) -> None:
    """Raises a ``ConfigError`` that names the first thing wrong with a plan."""
    if not plan.name or not all(c.isalnum() or c in "-_." for c in plan.name) or plan.name.startswith("."):
        raise ConfigError(f"name must be letters, digits, '-', '_' or '.'; it is {plan.name!r}.")
    for field_name in ("seeds", "scenarios"):
        values = getattr(plan, field_name)
        if not values or len(set(values)) != len(values):
            raise ConfigError(f"{field_name} must list at least one value and none twice; it is {list(values)!r}.")
    if plan.max_concurrent < 1 or plan.report.episodes < 1 or plan.budget.configurations < 1:
        raise ConfigError("max_concurrent, report.episodes and budget.configurations must be at least 1.")
    plan.budget.check()
    plan.early_stop.check()
    plan.retries.check()
    for path, values in plan.arms.items():
        if not values:
            raise ConfigError(f"arms.{path} must list at least one value.")
    _check_search(plan)
    _check_overrides(plan)
    arms, reference = plan.arm_settings(), plan.report.reference
    if reference is not None and reference not in arms:
        raise ConfigError(f"report.reference must be one of the arms {', '.join(arms)}; it is {reference!r}.")
    for scenario in plan.scenarios:
        _check_scenario(plan, scenario)
    for experiment in _examples(plan):
        _check_names(experiment)


def _check_search(plan: Plan) -> None:
    spaces = {"search": plan.search, "population.space": plan.population.space if plan.population else {}}
    for group, space in spaces.items():
        for path, dimension in space.items():
            dimension.check(f"{group}.{path}")
            if path in plan.arms:
                raise ConfigError(f"{path} must be either in arms or in {group}; it is in both.")
    if plan.population is not None:
        plan.population.check()
        if plan.search or plan.objectives:
            raise ConfigError("A plan must have a population or a search with its objectives, not both.")
    if plan.objectives and not plan.search:
        raise ConfigError("objectives are what a search aims at; this plan has no search.")
    metrics = [goal.metric for goal in plan.objectives]
    for place, goal in enumerate(plan.objectives):
        goal.check(f"objectives[{place}]")
        if metrics.count(goal.metric) > 1:
            raise ConfigError(f"objectives must name every metric once; {goal.metric!r} is there twice.")
    STOPPERS[plan.early_stop.rule]
    SAMPLERS[plan.sampler.name]
    plan.sampler.check()
    if plan.search:
        make_sampler(plan.sampler, plan.search, 0, max(len(plan.objectives), 1))
    if plan.storage is not None and "@" in plan.storage and ":" in plan.storage.split("://")[-1].split("@")[0]:
        raise ConfigError(
            "The storage's URL must hold no password, since the plan is kept with the results; give it by "
            "~/.pgpass or PGPASSWORD."
        )


def _check_overrides(plan: Plan) -> None:
    varied = {*plan.arms, *plan.search, *(plan.population.space if plan.population else ()), "seed", "scenario"}
    varied |= {path for settings in plan.listed.values() for path in settings}
    for text in plan.overrides:
        key = text.partition("=")[0].strip()
        if key in varied:
            where = "set plan.seeds or plan.scenarios" if key in ("seed", "scenario") else "edit the plan"
            raise ConfigError(f"--set {key} must not be given: the plan varies it. Instead, {where}.")


def _check_scenario(plan: Plan, name: str) -> None:
    scenario = SCENARIOS.create(name)
    known = [*POLICIES, *(f"{rule}{TUNED}" for rule in scenario.tuned)]
    for policy in plan.report.policies:
        if policy not in known:
            raise ConfigError(f"report.policies: unknown policy {policy!r}. {did_you_mean(policy, known)}")


def _examples(plan: Plan) -> Iterator[ExperimentConfig]:
    """Every arm on every scenario; of a search each end and each choice of a dimension, the others at their lowest."""
    space = plan.search or (plan.population.space if plan.population else {})
    lowest = {path: dimension.corners()[0] for path, dimension in space.items()}
    changes: list[dict[str, Any]] = [{path: value} for path, d in space.items() for value in d.corners()]
    for settings in plan.arm_settings().values():
        for scenario in plan.scenarios:
            for change in changes or [{}]:
                yield plan.experiment(scenario, plan.seeds[0], {**settings, **lowest, **change})


def _check_names(experiment: ExperimentConfig) -> None:
    """Looks up what would otherwise be found missing in a worker."""
    ALGORITHMS[experiment.algo]
    NETWORKS[experiment.network.name]
    LOOKAHEADS[experiment.env.lookahead]
    reward, guide = experiment.env.reward, experiment.env.guide.policy
    if reward is not None:
        REWARDS[reward]
    if guide is not None:
        POLICIES[guide.removesuffix(TUNED)]
