"""Fits the parameters of a compiled rule: searches on TRAIN workloads, chooses on VAL workloads."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from rl_sched.config import EnvConfig, GuideConfig
from rl_sched.errors import ConfigError
from rl_sched.policies import POLICIES
from rl_sched.scenarios.base import Scenario

#: Share of the budget that is drawn from the whole space; the rest are steps around the best so far.
GLOBAL_FRAC = 0.5
#: Standard deviation of those steps, as a share of a parameter's range; it shrinks to a fifth of this.
STEP_FRAC = 0.15
#: So many of the best on TRAIN are compared on VAL.
FINALISTS = 8
BATCH = 128


class RulePlayer:
    """Plays one rule with any parameters on a fixed set of workloads, all of them at once.

    Args:
        scenario: Where.
        policy: Name of a compiled rule.
        seeds: E workload seeds.
    """

    def __init__(self, scenario: Scenario, policy: str, seeds: Sequence[int]) -> None:
        from rl_sched.envs.vector import SchedulingVectorEnv  # gymnasium: only when something is played

        guide = GuideConfig(policy=policy, potential=False)
        config = EnvConfig(lookahead="off", finish_times=False, plan=False, guide=guide)
        self._objective = scenario.objective
        self._env = SchedulingVectorEnv(scenario, config, len(seeds), seeds=seeds)

    def scores(self, rule: Any) -> np.ndarray:
        """(E,) the scenario's objective for each workload."""
        env = self._env
        env.guide.params = rule.params()
        obs = env.reset_raw(0)
        scores = np.full(env.num_envs, np.nan)
        ended = np.zeros(env.num_envs, np.bool_)
        while not ended.all():
            obs, _, _, _ = env.step_raw(obs["guide"].copy())
            for episode in env.pop_finished():
                e = int(episode["env"])
                if not ended[e]:  # environments that are ahead play on; only their first episode counts
                    ended[e] = True
                    scores[e] = episode[self._objective]
        return scores


class Tuned(NamedTuple):
    """Outcome of a search. Scores are (E,) objectives on the VAL workloads."""

    params: dict[str, float]
    default_params: dict[str, float]
    val: np.ndarray
    default_val: np.ndarray
    candidates: int


def _draw(
    space: dict[str, tuple[float, float]], whole: set[str], rng: np.random.Generator, around: Any, step: float
) -> dict:
    params = {}
    for name, (low, high) in space.items():
        value = rng.uniform(low, high)
        if around is not None:
            value = np.clip(around[name] + step * (high - low) * rng.standard_normal(), low, high)
        params[name] = int(round(value)) if name in whole else float(f"{value:.3g}")
    return params


def tune(
    scenario: Scenario,
    policy: str,
    *,
    candidates: int = 200,
    train_episodes: int = BATCH,
    val_episodes: int = BATCH,
    seed: int = 0,
    on_candidate: Callable[[int, float], None] | None = None,
) -> Tuned:
    """Random search, then steps around the best, on TRAIN; the best on VAL wins. The defaults compete too.

    Args:
        scenario: Whose workloads and objective.
        policy: Name of a rule with parameters.
        candidates: Parameter sets tried.
        train_episodes, val_episodes: Workloads of each split.
        seed: Of the search.
        on_candidate: Called with the number of candidates done and the best TRAIN mean.

    Raises:
        ConfigError: The policy has nothing to tune, or a count is below 1.
    """
    rule_class = POLICIES.load(policy)
    space = getattr(rule_class, "SPACE", {})
    if not space:
        known = [name for name in POLICIES if getattr(POLICIES.load(name), "SPACE", {})]
        raise ConfigError(f"Policy {policy!r} has no parameters to tune. Rules that have: {', '.join(known)}.")
    for name, count, most in (
        ("candidates", candidates, 1_000_000),
        ("train_episodes", train_episodes, len(scenario.seeds.train)),
        ("val_episodes", val_episodes, len(scenario.seeds.val)),
    ):
        if not 1 <= count <= most:
            raise ConfigError(f"{name} must be between 1 and {most}; it is {count}.")
    rng = np.random.default_rng(seed)
    defaults: dict[str, Any] = {f.name: f.default for f in dataclasses.fields(rule_class) if f.name in space}
    whole = {name for name, value in defaults.items() if isinstance(value, int)}
    sign = -1.0 if scenario.maximize else 1.0
    train_seeds = rng.choice(np.asarray(scenario.seeds.train), train_episodes, replace=False)
    player = RulePlayer(scenario, policy, [int(s) for s in train_seeds])
    tried: list[tuple[float, dict[str, Any]]] = []
    for k in range(candidates):
        progress = k / candidates
        local = k > 0 and progress >= GLOBAL_FRAC
        best = min(tried, key=lambda item: item[0])[1] if local else None
        step = STEP_FRAC * (1.0 - 0.8 * progress)
        params = dict(defaults) if k == 0 else _draw(space, whole, rng, best, step)
        mean = float(np.mean(player.scores(rule_class(**params))))
        tried.append((np.inf if np.isnan(mean) else sign * mean, params))
        if on_candidate is not None:
            on_candidate(k + 1, sign * min(score for score, _ in tried))
    judge = RulePlayer(scenario, policy, list(scenario.seeds.val[:val_episodes]))
    default_val = judge.scores(rule_class(**defaults))
    finalists = sorted(tried, key=lambda item: item[0])[:FINALISTS]
    judged = [(judge.scores(rule_class(**params)), params) for _, params in finalists]
    val, params = min(judged, key=lambda item: sign * float(np.mean(item[0])))
    if sign * float(np.mean(default_val)) < sign * float(np.mean(val)):
        val, params = default_val, dict(defaults)
    return Tuned(params, defaults, val, default_val, candidates)
