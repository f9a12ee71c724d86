"""What a trial of the alpha-beta search is judged by: (cost, unfairness), both better smaller.

Scores of different beta are never compared with each other: only these two are, which do not depend on beta.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from rl_sched.config import build
from rl_sched.policies import POLICIES
from rl_sched.policies.jps.generate import generate
from rl_sched.policies.jps.placement import fairness, place
from rl_sched.scenarios import SCENARIOS
from rl_sched.sim.simulator import simulate

KINDS = ("static", "dynamic")
#: Instances, or episodes, on which a verdict is made; none of them is searched on.
FRESH = {"static": 48, "dynamic": 8}


@dataclass(frozen=True, slots=True)
class Static:
    """Instances for placements of all jobs at once, the families in turns."""

    families: tuple[str, ...]
    num_jobs: int
    num_workers: int
    instances: int
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Dynamic:
    """Workloads of a scenario for the policy of the simulator."""

    scenario: str
    episodes: int


class Judgement(NamedTuple):
    """n instances or episodes."""

    cost: np.ndarray  # (n,) mean JCT over the relaxation's bound, or mean JCT in seconds
    unfairness: np.ndarray  # (n,) 1 - Jain's index of JCT over the equal share's, or over the fastest run time


def judge_static(task: Static, alpha: float, beta: float, samples: int, *, sampler: str = "promise") -> Judgement:
    """Places every instance once."""
    found = [
        place(
            generate(task.families[n % len(task.families)], task.num_jobs, task.num_workers, task.seed + n),
            *(alpha, beta, samples, n), sampler=sampler,
        )
        for n in range(task.instances)
    ]  # fmt: skip
    return Judgement(np.array([1.0 + p.gap for p in found]), np.array([1.0 - p.fairness for p in found]))


def judge_dynamic(task: Dynamic, alpha: float, beta: float, samples: int, *, final: bool = False) -> Judgement:
    """Plays VAL workloads; ``final`` those of REPORT."""
    scenario = SCENARIOS.create(task.scenario)
    seeds = (scenario.seeds.report if final else scenario.seeds.val)[: task.episodes]
    policy = POLICIES.create("jps", alpha=alpha, beta=beta, samples=samples)
    cost, unfairness = [], []
    for seed in seeds:
        workload = scenario.workload(seed)
        jct_s = simulate(policy, workload, scenario.cluster, scenario.rules).jct_s
        cost.append(float(jct_s.mean()))
        unfairness.append(1.0 - fairness(jct_s / workload.duration_on(scenario.cluster).min(axis=1)))
    return Judgement(np.array(cost), np.array(unfairness))


def judge(
    static: Static, dynamic: Dynamic, kind: str, alpha: float, beta: float, samples: int, *, fresh: bool = False
) -> Judgement:
    """One configuration on the instances of a search, or on fresh ones."""
    if kind == "static":
        task = replace(static, seed=static.seed + 10_000, instances=FRESH["static"]) if fresh else static
        return judge_static(task, alpha, beta, samples)
    played = replace(dynamic, episodes=FRESH["dynamic"]) if fresh else dynamic
    return judge_dynamic(played, alpha, beta, samples, final=fresh)


def trial(config: Mapping[str, Any], plan: Mapping[str, Any]) -> None:
    """What a worker of Ray Tune runs: ``config`` is what Optuna suggested, ``plan`` the search's plain data."""
    from ray import tune

    tasks = build(Static, plan["static"]), build(Dynamic, plan["dynamic"])
    found = judge(*tasks, config["kind"], config["alpha"], config["beta"], config["samples"])
    tune.report({"cost": float(found.cost.mean()), "unfairness": float(found.unfairness.mean())})
