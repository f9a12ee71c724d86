"""The arrivals to come: against the workload itself, for the value alone, and in training alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from rl_sched.config import EnvConfig, ExperimentConfig, NetworkConfig, PPOConfig, TrainConfig
from rl_sched.envs.foresight import ARRIVALS
from rl_sched.envs.joined import JoinedVectorEnv
from rl_sched.envs.vector import SchedulingVectorEnv
from rl_sched.rl import checkpoint
from rl_sched.rl.learned_policy import LearnedPolicy
from rl_sched.rl.live import LivePlanner
from rl_sched.rl.task import Task
from rl_sched.rl.training import train
from rl_sched.scenarios import SCENARIOS

TINY = ExperimentConfig(
    network=NetworkConfig(hidden=8),
    ppo=PPOConfig(rollout=16, minibatch=64, epochs=2, foresight=True),
    train=TrainConfig(steps=600, num_envs=8, val_every=300, val_episodes=2, checkpoint_every=300),
)


def expected(env: SchedulingVectorEnv, e: int) -> list[float]:
    """The table of docs/mdp.md, from the workload and the clock."""
    now_s, workload = env.snapshot(e).now_s, env._bank.at(*env._playing[e]).workload
    scale, gpus = env.scenario.time_scale_s, env.scenario.cluster.num_gpus
    to_come = workload.submit_s > now_s
    wait_s = (workload.submit_s - now_s)[to_come]
    fastest_s = env._state.views.dur[e, : len(workload)].min(axis=1)
    work = (fastest_s * workload.gpu_demand)[to_come]
    within = [wait_s <= 2.0**k * scale for k in range(-2, 6)]
    all_work, last_s = work.sum(), wait_s.max(initial=0.0)
    return [
        *(near.sum() / (near.sum() + 5) for near in within),
        *(work[near].sum() / (work[near].sum() + 2.0**k * gpus * scale) for k, near in enumerate(within, start=-2)),
        to_come.sum() / len(workload),
        all_work / (all_work + gpus * scale),
        all_work / (all_work + gpus * (last_s + scale / 4)),
    ]


@pytest.mark.parametrize("scenario", ["default", "heavy-tail"])
def test_it_shows_the_arrivals_to_come(scenario: str) -> None:
    env = SchedulingVectorEnv(scenario, num_envs=3, seed=4, foresight=True)
    rng = np.random.default_rng(0)
    obs = env.reset_raw()
    assert obs["arrivals"].shape == (3, len(ARRIVALS)) == (3, env.spec_obs.arrival_features)
    shares, ends = [], 0
    while ends < 2:
        assert obs["arrivals"] in env.observation_space["arrivals"]  # type: ignore[index]
        for e in range(3):
            np.testing.assert_allclose(obs["arrivals"][e], expected(env, e), atol=1e-5)
        shares.extend(obs["arrivals"][:, 16])
        for _ in range(7):
            mask = obs["action_mask"]
            obs, _, done, _ = env.step_raw((rng.random(mask.shape) * mask).argmax(axis=1))
            ends += int(done.sum())
            if done.any():
                break
    assert max(shares) > 0.9 and min(shares) == 0.0


def test_several_scenarios_at_once() -> None:
    parts = [SchedulingVectorEnv(name, num_envs=2, seed=1, foresight=True) for name in ("default", "poisson")]
    joined = JoinedVectorEnv(parts, EnvConfig())
    obs = joined.reset_raw()
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = obs["action_mask"]
        obs = joined.step_raw((rng.random(mask.shape) * mask).argmax(axis=1))[0]
    assert obs["arrivals"].any(axis=1).all()
    np.testing.assert_array_equal(obs["arrivals"], np.concatenate([part.observation["arrivals"] for part in parts]))


def test_only_training_of_ppo_shows_them() -> None:
    def keys(experiment: ExperimentConfig, split: str) -> set[str]:
        return set(Task.of(experiment).make_env(2, 0, split).single_observation_space)  # type: ignore[call-overload]

    assert keys(TINY, "train") - keys(TINY, "val") == {"arrivals"}
    assert keys(TINY, "report") == keys(TINY, "val")
    untold = dataclasses.replace(TINY, ppo=PPOConfig(foresight=False))
    for other in (untold, *(dataclasses.replace(TINY, algo=algo) for algo in ("dqn", "sac"))):
        assert keys(other, "train") == keys(TINY, "val")


@pytest.mark.parametrize("network", ["cross_attention", "mlp"])
def test_what_it_trained_plays_without(network: str, tmp_path: Path) -> None:
    """The whole road; an interruption changes nothing."""
    experiment = dataclasses.replace(TINY, network=NetworkConfig(network, hidden=8))
    whole = train(experiment, tmp_path / "whole")
    train(experiment, tmp_path / "parts", on_progress=lambda p: p.steps < 300)
    parts = train(experiment, tmp_path / "parts", resume=True)
    one, other = (checkpoint.read(run.last).weights for run in (whole, parts))
    assert one["value_arrivals.weight"].abs().max() > 0
    assert all(torch.equal(one[key], other[key]) for key in one)

    policy = LearnedPolicy.load(whole.last)
    scenario = SCENARIOS.create("default")
    seed = scenario.seeds.val[0]
    ((own, _),) = policy.play_episodes(scenario, [seed])
    workload = scenario.workload(seed)
    player = LivePlanner(policy, scenario).player(workload, scenario.cluster, scenario.rules)
    thoughts = player.look_back([])
    assert thoughts.value is None and np.isfinite(own.finish_s).all()
