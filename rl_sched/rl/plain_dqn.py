"""RLlib's own DQN on any Gymnasium environment with vectors as observations; what is left is a network in arrays.

For small problems beside the main one: no masks, no checkpoints of a run that goes on, nothing of RLlib needed to use
what was learned.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl_sched.errors import ConfigError, TrainingError
from rl_sched.rl import runtime

#: Names of a trained network's arrays: two hidden layers, then advantages and value (dueling).
WEIGHTS = ("w1", "b1", "w2", "b2", "advantage_w", "advantage_b", "value_w", "value_b")
_RLLIB_NAMES = (
    "encoder.net.mlp.0.weight", "encoder.net.mlp.0.bias", "encoder.net.mlp.2.weight", "encoder.net.mlp.2.bias",
    "af.net.mlp.0.weight", "af.net.mlp.0.bias", "vf.net.mlp.0.weight", "vf.net.mlp.0.bias",
)  # fmt: skip

#: RLlib's name of the one network.
_MODULE = "default_policy"
#: Environment steps of one call of RLlib's ``train``, per environment.
_FRAGMENT = 16


@dataclass(frozen=True, slots=True)
class DqnSettings:
    """Double dueling DQN.

    Raises:
        ConfigError: A number is out of range.
    """

    steps: int = 24_000  # of the environments, all together
    num_envs: int = 16
    hidden: int = 64  # units of each of the two layers
    gamma: float = 0.0
    lr: float = 3e-3
    lr_final: float = 1e-4
    minibatch: int = 64
    learn_ratio: float = 6.0  # transitions learned from per step
    starts: int = 1_024  # steps before learning
    capacity: int = 50_000  # steps remembered
    epsilon_final: float = 0.05  # share of random actions, from 1, reached after half of the steps
    target_every: int = 512  # steps

    def __post_init__(self) -> None:
        for name in ("steps", "num_envs", "hidden", "minibatch", "starts", "capacity", "target_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"DQN needs {name} of at least 1; it is {getattr(self, name)}.")
        if not 0.0 <= self.gamma <= 1.0:
            raise ConfigError(f"DQN needs gamma between 0 and 1; it is {self.gamma}.")


def train_dqn(
    env_id: str,
    env_kwargs: dict[str, Any],
    settings: DqnSettings,
    seed: int,
    on_progress: Callable[[int, float], None] = lambda steps, loss: None,
) -> dict[str, NDArray[np.float32]]:
    """Trains and returns the network's arrays, see ``WEIGHTS``.

    Args:
        env_id: Of Gymnasium.
        env_kwargs: For its constructor.
        settings: Of the algorithm.
        seed: Of network, exploration, replay and environments.
        on_progress: Is told the steps so far and the latest loss.

    Raises:
        TrainingError: The weights are no longer finite.
    """
    runtime.single_thread()
    with runtime.embedded_ray():
        algorithm = _config(env_id, env_kwargs, settings, seed).build_algo()
        try:
            steps = 0
            while steps < settings.steps:
                result = algorithm.train()
                steps = int(result["num_env_steps_sampled_lifetime"])
                weights = _weights(algorithm)
                if not all(np.isfinite(array).all() for array in weights.values()):
                    raise TrainingError(
                        f"The weights of DQN must stay finite; after {steps:,} steps they are not. Give it a lower lr."
                    )
                on_progress(steps, float(result.get("learners", {}).get(_MODULE, {}).get("total_loss", 0.0)))
        finally:
            algorithm.stop()
    return weights


def _weights(algorithm: Any) -> dict[str, NDArray[np.float32]]:
    state = algorithm.learner_group._learner.module[_MODULE].state_dict()
    return {ours: state[theirs].numpy().copy() for ours, theirs in zip(WEIGHTS, _RLLIB_NAMES, strict=True)}


def _config(env_id: str, env_kwargs: dict[str, Any], settings: DqnSettings, seed: int) -> Any:
    from ray.rllib.algorithms.dqn import DQNConfig
    from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig

    logging.getLogger("ray.rllib").setLevel(logging.ERROR)
    config = DQNConfig()
    config.environment(env_id, env_config=env_kwargs)
    config.env_runners(num_env_runners=0, num_envs_per_env_runner=settings.num_envs, rollout_fragment_length=_FRAGMENT)
    config.training(
        lr=[[0, settings.lr], [settings.steps, settings.lr_final]],
        gamma=settings.gamma,
        train_batch_size_per_learner=settings.minibatch,
        training_intensity=settings.learn_ratio,
        num_steps_sampled_before_learning_starts=settings.starts,
        epsilon=[[0, 1.0], [max(1, settings.steps // 2), settings.epsilon_final]],
        target_network_update_freq=settings.target_every,
        double_q=True,
        dueling=True,
        grad_clip=1.0,
        replay_buffer_config={"type": "EpisodeReplayBuffer", "capacity": settings.capacity},
    )
    config.rl_module(model_config=DefaultModelConfig(fcnet_hiddens=[settings.hidden] * 2, fcnet_activation="relu"))
    config.reporting(
        min_time_s_per_iteration=None, min_sample_timesteps_per_iteration=0, min_train_timesteps_per_iteration=0
    )
    config.debugging(seed=seed, log_level="ERROR")
    return config


def action_values(weights: dict[str, NDArray[np.float32]], obs: NDArray[np.float32]) -> NDArray[np.float32]:
    """(k, A) values of the actions for (k, F) observations, in NumPy.

    Dueling (Wang et al., 2016, equation 9): value + advantage - mean advantage.
    """
    hidden = np.maximum(obs @ weights["w1"].T + weights["b1"], 0.0)
    hidden = np.maximum(hidden @ weights["w2"].T + weights["b2"], 0.0)
    advantage = hidden @ weights["advantage_w"].T + weights["advantage_b"]
    value = hidden @ weights["value_w"].T + weights["value_b"]
    return value + advantage - advantage.mean(axis=1, keepdims=True)
