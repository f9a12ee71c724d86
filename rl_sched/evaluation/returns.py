"""Episode returns of rules, for scenarios whose objective is their own reward and not a metric of the jobs.

A reward is paid step by step inside the environment, so the rule plays there: the third door instead of the first.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rl_sched.config import EnvConfig
from rl_sched.sim.result import RunResult

if TYPE_CHECKING:
    from rl_sched.scenarios.base import Scenario


def play(policy: Any, scenario: Scenario, seeds: Sequence[int]) -> tuple[list[RunResult], np.ndarray]:
    """Plays one episode a seed with the scenario's reward.

    Args:
        policy: A rule, or a planner, which gets a player of its own for every workload.
        scenario: Its ``reward`` is paid.
        seeds: E workload seeds.

    Returns:
        The runs, and (E,) undiscounted returns.
    """
    from rl_sched.envs.actions import encode
    from rl_sched.envs.vector import SchedulingVectorEnv  # gymnasium: only when something is played
    from rl_sched.sim.simulator import player_of

    # Every snapshot asks for its workload.
    remembered = replace(scenario, make=functools.cache(scenario.make))
    env = SchedulingVectorEnv(remembered, EnvConfig(lookahead="off"), len(seeds), seeds=seeds, strict=True)
    players = [player_of(policy, remembered.make(seed), scenario.cluster, scenario.rules) for seed in seeds]
    obs = env.reset_raw()
    results: list[RunResult | None] = [None] * len(seeds)
    returns = np.full(len(seeds), np.nan)
    open_ = list(range(len(seeds)))
    while open_:
        actions = obs["action_mask"].argmax(axis=1)  # any legal action, where the episode is over
        for e in open_:
            snapshot = env.snapshot(e)
            actions[e] = encode(players[e].decide(snapshot), snapshot)
        obs, _, done, _ = env.step_raw(actions)
        for episode in env.pop_finished():
            e = int(episode["env"])
            if results[e] is None:  # an environment whose episode is over starts a second one: ignored
                results[e], returns[e] = env.result(e), episode["episode_return"]
        open_ = [e for e in open_ if not done[e]]
    return [r for r in results if r is not None], returns
