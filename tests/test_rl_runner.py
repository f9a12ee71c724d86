"""The road from the environment to the optimiser: what the runner records and what the learner reads."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.training_data import TrainingData
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch

from rl_sched.config import ExperimentConfig, NetworkConfig, PPOConfig, TrainConfig
from rl_sched.rl import masking
from rl_sched.rl.runner import stagger
from rl_sched.testing.toy_env import ToyVectorEnv

EXPERIMENT = ExperimentConfig(
    network=NetworkConfig(hidden=8),
    ppo=PPOConfig(rollout=40, minibatch=100, gamma=0.9),
    train=TrainConfig(steps=10_000, num_envs=8),
)


@pytest.fixture(scope="module")
def algo():  # type: ignore[no-untyped-def]
    from rl_sched.rl.algorithms.ppo import ppo_config
    from rl_sched.rl.runtime import embedded_ray

    with embedded_ray():
        algorithm = ppo_config(EXPERIMENT, ToyVectorEnv).build_algo()
        yield algorithm
        algorithm.stop()


def test_rollout_is_what_the_policy_did(algo) -> None:  # type: ignore[no-untyped-def]
    rollout = algo.runner.sample()
    shape = (40, 8)
    flat = {key: part.flatten(0, 1) for key, part in rollout.obs.items()}
    with torch.no_grad():
        logits, value = algo.network(flat)
    log_probs = masking.log_probs(logits, flat["action_mask"])
    chosen = log_probs.gather(1, rollout.actions.flatten()[:, None]).view(shape)
    torch.testing.assert_close(rollout.log_probs, chosen, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(rollout.values[:-1], value.view(shape), atol=1e-5, rtol=1e-5)
    # The toy pays exactly minus the cost of the action that was taken on the observation beside it.
    slot, kind = (rollout.actions - 1) // 2, (rollout.actions - 1) % 2
    length = rollout.obs["jobs"][..., 1].gather(2, slot.clamp_min(0)[..., None]).squeeze(2)
    paid = -torch.where(rollout.actions == 0, torch.ones(()), length * (1.0 - 0.5 * kind))
    torch.testing.assert_close(rollout.rewards[~rollout.reset], paid[~rollout.reset])
    assert (rollout.rewards[rollout.reset] == 0).all()
    # A reset row follows every end, and nothing else.
    assert (rollout.reset[1:] == rollout.done[:-1]).all() and rollout.done.any()
    assert rollout.num_steps == 320 - int(rollout.reset.sum())


def test_next_rollout_continues(algo) -> None:  # type: ignore[no-untyped-def]
    last = algo.runner.sample().done[-1].clone()
    assert (algo.runner.sample().reset[0] == last).all()


def test_minibatches_hold_each_valid_row_once_per_epoch(algo) -> None:  # type: ignore[no-untyped-def]
    rollout = algo.runner.sample()
    rows = SampleBatch({**algo._columns(rollout), "number": torch.arange(320)})
    batch = MultiAgentBatch({DEFAULT_MODULE_ID: rows}, env_steps=320)
    learner = algo.learner_group._learner
    iterator = learner._create_iterator_if_necessary(
        training_data=TrainingData(batch=batch), num_epochs=2, minibatch_size=100
    )
    parts = [part[DEFAULT_MODULE_ID] for part in iterator]
    sizes = [len(part) for part in parts]
    assert len(parts) == 6 and max(sizes) - min(sizes) <= 1
    numbers = torch.cat([part["number"] for part in parts])
    valid = (~rollout.reset).flatten().nonzero().squeeze(1)
    for epoch in numbers.split(len(valid)):
        assert torch.equal(epoch.sort().values, valid)
    assert not torch.equal(numbers[: len(valid)], valid)
    part = parts[0]
    assert torch.equal(part[Columns.OBS]["jobs"], rollout.obs["jobs"].flatten(0, 1)[part["number"]])
    assert torch.equal(part[Columns.ACTIONS], rollout.actions.flatten()[part["number"]])


def test_runner_plays_the_newest_weights(algo) -> None:  # type: ignore[no-untyped-def]
    before = [p.clone() for p in algo.network.parameters()]
    algo.train()
    assert any((a != b).any() for a, b in zip(before, algo.network.parameters(), strict=True))
    for mine, theirs in zip(algo.runner.module.network.parameters(), algo.network.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_update_is_ppo_by_hand(algo) -> None:  # type: ignore[no-untyped-def]
    """One full-batch step through RLlib equals the same step written out."""
    from rl_sched.rl.algorithms.ppo import ppo_config
    from rl_sched.rl.gae import ReturnScale, gae

    one_step = dataclasses.replace(EXPERIMENT, ppo=PPOConfig(rollout=40, minibatch=320, epochs=1, gamma=0.9))
    other = ppo_config(one_step, ToyVectorEnv).build_algo()
    try:
        network = type(other.network)(ToyVectorEnv(1, 0).spec_obs, one_step.network, 0.0)
        network.load_state_dict(other.network.state_dict())
        other.train()
        rollout, ppo = other.runner._rollout, one_step.ppo
        rewards, done, reset = (part.numpy() for part in (rollout.rewards, rollout.done, rollout.reset))
        scale = ReturnScale(np.zeros(8, np.int64))
        scale.update(rewards, done, reset, np.full_like(rewards, ppo.gamma))
        advantages, targets = gae(rewards / scale.std, rollout.values.numpy(), done, reset, ppo.gamma, ppo.gae_lambda)
        keep = ~rollout.reset.flatten()
        obs = {key: part.flatten(0, 1)[keep] for key, part in rollout.obs.items()}
        advantage = torch.from_numpy(advantages).flatten()[keep]
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        logits, value = network(obs)
        dist = torch.distributions.Categorical(logits=logits.masked_fill(obs["action_mask"] == 0, -1e9))
        ratio = (dist.log_prob(rollout.actions.flatten()[keep]) - rollout.log_probs.flatten()[keep]).exp()
        surrogate = torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage).mean()
        huber = torch.nn.functional.huber_loss(value, torch.from_numpy(targets).flatten()[keep])
        loss = -surrogate + 0.5 * huber - ppo.entropy * dist.entropy().mean()
        optimizer = torch.optim.Adam(network.parameters(), lr=ppo.lr, eps=1e-5)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), ppo.max_grad_norm)
        optimizer.step()
        for mine, theirs in zip(other.network.parameters(), network.parameters(), strict=True):
            torch.testing.assert_close(mine, theirs, atol=2e-5, rtol=1e-4)
    finally:
        other.stop()


def test_stagger_spreads_the_phases() -> None:
    env = ToyVectorEnv(64, 0, length=32)
    obs = stagger(env, env.reset_raw(0), np.random.default_rng(0))
    assert obs["action_mask"].any(axis=1).all()
    phases = np.histogram(env._step % 32, bins=4, range=(0, 32))[0]
    assert phases.min() >= 8
