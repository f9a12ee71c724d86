"""One policy on one workload, with everything that can be told about the run."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rl_sched.cluster import ClusterSpec
from rl_sched.evaluation.fragmentation import fragmentation_frac
from rl_sched.evaluation.latency import Timed
from rl_sched.evaluation.logfile import RunLog
from rl_sched.evaluation.metrics import run_metrics
from rl_sched.evaluation.outcome import Recorder
from rl_sched.evaluation.timeline import segments
from rl_sched.policies.bounds.lower import LowerBounds, lower_bounds
from rl_sched.sim.presets import RulesChoice
from rl_sched.sim.result import RunResult
from rl_sched.sim.rules import Rules
from rl_sched.sim.simulator import player_of, simulate
from rl_sched.sim.watching import Progress
from rl_sched.workload import Workload


@dataclass(frozen=True)
class Task:
    """What all policies of a comparison face."""

    workload: Workload
    cluster: ClusterSpec
    rules: RulesChoice
    seed: int = 0  # of the workload, if it was generated

    @functools.cached_property
    def bounds(self) -> LowerBounds:
        """What no schedule can beat."""
        return lower_bounds(self.workload, self.cluster)


@dataclass(frozen=True)
class SoloRun:
    """A finished run."""

    policy: str
    params: dict[str, Any]
    rules: Rules
    result: RunResult
    metrics: dict[str, float]
    seconds: float  # wall-clock time of the simulation
    log: RunLog | None


def rules_for(policy: Any, choice: RulesChoice) -> Rules:
    """The rules that a policy runs under.

    Policies that never preempt run with preemption off, so that preemptive rules may be given to all. Those that do
    (``preemptive`` is True) run with preemption on, unless the user has said that it is off.
    """
    preempts = getattr(policy, "preemptive", False)
    on = preempts and (choice.rules.preemption or not choice.says_preemption)
    return dataclasses.replace(choice.rules, preemption=on)


def notes_on(policies: Mapping[str, Any], choice: RulesChoice) -> list[str]:
    """Sentences on the policies whose rules are not what one might take them for."""
    names = [name for name, policy in policies.items() if getattr(policy, "preemptive", False)]
    if choice.rules.preemption or not names:
        return []
    who, one = ", ".join(names), len(names) == 1
    if choice.says_preemption:
        what = "a ranking" if one else "rankings"
        return [f"{who} may not preempt: {'it is' if one else 'they are'} {what} of the waiting jobs, with backfill."]
    cost = "at the costs restart_s" if choice.rules.restart_s else "at no cost"
    return [
        f"{who} {'needs' if one else 'need'} preemption, of which the rules say nothing: it is on, {cost} "
        "(--set preemption=false: off)."
    ]


def hourly(rules: Rules) -> bool:
    """Does the price of electricity depend on the hour?"""
    return any(len(set(prices)) > 1 for _, prices in rules.tariff)


def play(
    name: str,
    policy: Any,
    task: Task,
    *,
    record: bool = False,
    latency: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> SoloRun:
    """Runs one policy.

    Args:
        name: Of the policy, for the log.
        policy: An entry of POLICIES, made.
        task: What it faces.
        record: Keep the event log; it is kept as well where hourly prices need it.
        latency: Ask for every decision in Python and measure how long it takes.
        progress: Called a few times a second.

    Raises:
        WorkloadError: A job fits nowhere.
        ConfigError: The tariff names an unknown GPU type.
    """
    rules = rules_for(policy, task.rules)
    params = dataclasses.asdict(policy)
    record = record or (hourly(rules) and not rules.plain)
    watch = Recorder(record=record, progress=progress)
    began_s = time.perf_counter()
    timed = None
    if latency:
        policy = timed = Timed(player_of(policy, task.workload, task.cluster, rules))
    result = simulate(policy, task.workload, task.cluster, rules, watch=watch)
    took_s = time.perf_counter() - began_s
    log, parts = None, None
    if record:
        log = RunLog(name, params, task.workload, task.cluster, rules, task.seed, watch.log(), watch.outcome(result))
        parts = segments(result, log.events)
    metrics = run_metrics(result, rules, parts, task.bounds)
    if log is not None:
        metrics["fragmentation_frac"] = fragmentation_frac(log)
    if timed is not None:
        metrics |= timed.metrics()
    return SoloRun(name, params, rules, result, metrics, took_s, log)
