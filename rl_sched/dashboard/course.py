"""From what was chosen to jobs, cluster, rules and policies."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

from rl_sched.cluster import ClusterSpec
from rl_sched.dashboard.choices import BASE_SCENARIO, DEFAULT_LOAD, MAX_GPUS, MAX_JOBS, RULE, TRACE, Entrant, Setup
from rl_sched.errors import ConfigError
from rl_sched.evaluation.solo import rules_for
from rl_sched.policies import POLICIES
from rl_sched.scenarios import SCENARIOS
from rl_sched.scenarios.base import TUNED, Scenario
from rl_sched.sim.presets import RulesChoice
from rl_sched.sim.rules import Rules
from rl_sched.traces import TRACES
from rl_sched.workload import Workload


class Course(NamedTuple):
    """The same for all policies of a race."""

    scenario: Scenario
    workload: Workload
    cluster: ClusterSpec
    rules: Rules
    about: str


def generators() -> list[str]:
    """Names of the traces that make jobs up, any number of them."""
    fields = {name: {f.name for f in dataclasses.fields(TRACES.load(name))} for name in TRACES}
    return [name for name, own in fields.items() if "num_jobs" in own and "path" not in own]


def course_of(setup: Setup) -> Course:
    """Makes the jobs.

    Raises:
        ConfigError: Something is not in the lists, or too large.
        WorkloadError: A job fits nowhere on this cluster.
    """
    kind, _, name = setup.workload.partition(":")
    generated = kind + ":" == TRACE
    scenario: Scenario = SCENARIOS.create(BASE_SCENARIO if generated else name)
    if (missing := scenario.available()) is not None:
        raise ConfigError(missing)
    cluster = scenario.cluster if setup.cluster is None else ClusterSpec.parse(setup.cluster)
    if cluster.num_gpus > MAX_GPUS:
        raise ConfigError(f"A cluster may have at most {MAX_GPUS:,} GPUs here; it has {cluster.num_gpus:,}.")
    workload = _generated(name, setup, cluster) if generated else _of_scenario(scenario, setup)
    if len(workload) > MAX_JOBS:
        raise ConfigError(
            f"A race may have at most {MAX_JOBS:,} jobs here; this has {len(workload):,}. Use rl_sched.simulate."
        )
    load = workload.offered_load(cluster)  # a job that fits nowhere is refused here
    about = f"{len(workload):,} jobs of {name}, {'seed' if generated else 'VAL workload'} {setup.seed}, load {load:.2f}"
    return Course(scenario, workload, cluster, scenario.rules, about)


def _of_scenario(scenario: Scenario, setup: Setup) -> Workload:
    if setup.jobs is not None or setup.load is not None:
        raise ConfigError(
            f"The number of jobs and the load belong to the scenario {scenario.name!r}. Leave them out, or choose a "
            "generator."
        )
    seeds = scenario.seeds.val
    if not 0 <= setup.seed < len(seeds):
        raise ConfigError(
            f"The scenario {scenario.name!r} has {len(seeds):,} VAL workloads, 0 to {len(seeds) - 1:,}; number "
            f"{setup.seed:,} was asked for."
        )
    return scenario.workload(seeds[setup.seed])


def _generated(name: str, setup: Setup, cluster: ClusterSpec) -> Workload:
    params: dict[str, Any] = {} if setup.jobs is None else {"num_jobs": setup.jobs}
    workload = TRACES.create(name, **params).load(setup.seed)
    load = DEFAULT_LOAD if setup.load is None else setup.load
    return workload.scale_load(load / workload.offered_load(cluster))


def policy_of(entrant: Entrant, scenario: Scenario) -> Any:
    """Makes a policy or a planner.

    Raises:
        ConfigError: The rule is unknown.
        CheckpointError: The checkpoint is damaged.
    """
    if entrant.checkpoint is not None:
        from rl_sched.rl.learned_policy import LearnedPolicy  # torch takes seconds, and most races need none
        from rl_sched.rl.live import LivePlanner

        return LivePlanner(LearnedPolicy.load(entrant.checkpoint, check_features=False), scenario)
    name, params = scenario.rule(entrant.id.removeprefix(RULE))
    if entrant.id.endswith(TUNED) and not params:
        raise ConfigError(f"The rule {name!r} was not fitted to this scenario. Choose {name!r} itself.")
    return POLICIES.create(name, **params)


def rules_of(policy: Any, rules: Rules) -> Rules:
    """The rules that a policy runs under: with preemption if it is made for it."""
    return rules_for(policy, RulesChoice(rules, says_preemption=False))
