"""RLlib environment runner over the vector environment's raw door.

The stock runner spends its time in per-environment Python; here one call steps all environments and one forward
pass answers them all, so sampling costs what the network costs.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import gymnasium as gym
import numpy as np
import ray
import torch
from numpy.typing import NDArray
from ray.rllib.core import COMPONENT_RL_MODULE, DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.env import INPUT_ENV_SINGLE_SPACES, INPUT_ENV_SPACES
from ray.rllib.env.env_runner import EnvRunner
from ray.rllib.utils.checkpoints import Checkpointable
from ray.rllib.utils.metrics import (
    EPISODE_LEN_MEAN,
    EPISODE_RETURN_MEAN,
    NUM_ENV_STEPS_SAMPLED,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    NUM_EPISODES,
    WEIGHTS_SEQ_NO,
)

from rl_sched.config import ExperimentConfig
from rl_sched.rl import masking
from rl_sched.rl.gae import ReturnScale
from rl_sched.rl.rollout import RawVectorEnv, Rollout, empty_rollout

#: Raw action of an environment that is only observed.
HOLD = -1
#: So many times a curriculum makes the workloads harder.
CURRICULUM_STEPS = 4
#: Key of the running episodes in a runner's state.
EPISODES = "episodes"


def stagger(env: RawVectorEnv, obs: dict[str, NDArray[Any]], rng: np.random.Generator) -> dict[str, NDArray[Any]]:
    """Spreads N fresh episodes over all phases of an episode, by random legal play; returns the observations.

    Environments that start together stay together for many episodes, and then every update sees one phase only and
    forgets the others. Environment e of the N of a scenario moves at (e + 1) / N of the speed of the last one, until
    that of every scenario is through.
    """
    speed = np.empty(env.num_envs)
    last = np.zeros(env.num_envs, bool)
    for group in np.unique(env.groups):
        mine = np.flatnonzero(env.groups == group)
        speed[mine] = np.arange(1, len(mine) + 1) / len(mine)
        last[mine[-1]] = True
    owed = np.zeros(env.num_envs)
    through = ~last
    while not through.all():
        owed += speed
        moves = owed >= 1.0
        owed[moves] -= 1.0
        legal = obs["action_mask"]
        actions = (rng.random(legal.shape, dtype=np.float32) * legal).argmax(axis=1)
        obs, _, done, _ = env.step_raw(np.where(moves, actions, HOLD))
        through |= done
    return obs


class SchedulingRunner(EnvRunner, Checkpointable):
    """Plays N environments with the current policy; ``sample()`` returns a ``Rollout`` of [T, N] arrays.

    ``config.env_config`` holds ``make_env`` (an ``EnvFactory``), ``rollout`` (T) and ``experiment``. With
    ``train.env_runners`` the environments are divided among remote runners, and the local one plays none.
    """

    def __init__(self, *, config: Any, **kwargs: Any) -> None:
        super().__init__(config=config, **kwargs)
        settings = self.config.env_config
        self._make_env = settings["make_env"]
        self._steps: int = settings["rollout"]
        self._experiment: ExperimentConfig = settings["experiment"]
        self._num_envs, self._stream = self._share()
        self.env: RawVectorEnv
        self.make_env()
        self.module: Any = None
        self.make_module()
        self.return_scale = ReturnScale(self.env.groups)
        self._rollout: Rollout | None = None
        self._weights_seq_no = 0
        self.finished: list[dict[str, Any]] = []
        self._generator = torch.Generator()
        self.start_episodes()

    def _share(self) -> tuple[int, int]:
        """How many environments are its own, and the number of its stream of randomness."""
        train = self._experiment.train
        if self._plays and self.worker_index:
            parts = np.array_split(np.arange(train.num_envs), train.env_runners)
            return len(parts[self.worker_index - 1]), self.worker_index
        return train.num_envs, 0

    @property
    def _plays(self) -> bool:
        """False for the local runner beside remote ones: it only counts and knows the shapes."""
        return bool(self.worker_index) or self._experiment.train.env_runners == 0

    def make_env(self) -> None:
        self.env = self._make_env(self._num_envs, self._experiment.seed, "train")

    def make_module(self) -> None:
        spec = self.config.get_rl_module_spec(spaces=self.get_spaces(), inference_only=True)
        self.module = spec.build()

    @property
    def observation(self) -> dict[str, NDArray[Any]]:
        """The present observations (N, ...): the environment's buffers."""
        return self._obs

    def start_episodes(self) -> None:
        """Starts N fresh episodes, spread over all phases of an episode."""
        stream = np.random.SeedSequence([self._experiment.seed, self._stream])
        env_seed, action_seed = (int(word) for word in stream.generate_state(2))
        self._generator.manual_seed(action_seed)
        self._obs = self.env.reset_raw(env_seed)
        if self._plays:
            self._obs = stagger(self.env, self._obs, np.random.default_rng(stream.spawn(1)[0]))
        self.env.pop_finished()

    @torch.inference_mode()
    def sample(self, **kwargs: Any) -> Rollout:
        """Plays T steps of all environments; the returned buffers are overwritten by the next call."""
        if self._rollout is None:
            self._rollout = empty_rollout(self._steps, self._obs)
        out = self._rollout
        self._set_progress()
        for t in range(self._steps):
            for key, part in self._obs.items():
                out.obs[key][t] = torch.from_numpy(part)
            log_probs, out.values[t] = self._policy({key: part[t] for key, part in out.obs.items()})
            out.actions[t], out.log_probs[t] = masking.sample(log_probs, self._generator)
            self._obs, reward, done, was_reset = self.env.step_raw(out.actions[t].numpy())
            out.rewards[t] = torch.from_numpy(reward)
            out.discounts[t] = torch.from_numpy(self.env.discounts)
            out.done[t] = torch.from_numpy(done)
            out.reset[t] = torch.from_numpy(was_reset)
        if self.module.values_last:
            _, out.values[self._steps] = self._policy({key: torch.from_numpy(part) for key, part in self._obs.items()})
        self.count(out, self.env.pop_finished())
        return out

    def _set_progress(self) -> None:
        """Tells the environments how far the training is, and takes the next step of the curriculum when it is due."""
        progress = self.num_env_steps_sampled_lifetime / self._experiment.train.steps
        self.env.set_progress(progress)
        curriculum = self._experiment.curriculum
        if curriculum.frac == 0.0:
            return
        easy = 1.0 - min(1.0, np.floor(progress / curriculum.frac * CURRICULUM_STEPS) / CURRICULUM_STEPS)
        self.env.set_difficulty(1.0 + easy * (curriculum.load - 1.0), 1.0 + easy * (curriculum.jobs_frac - 1.0))

    def _policy(self, obs: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        out = self.module.forward_exploration({Columns.OBS: obs})
        return torch.log_softmax(out[Columns.ACTION_DIST_INPUTS], dim=1), out[Columns.VF_PREDS]

    def count(self, rollout: Rollout, finished: list[dict[str, Any]]) -> None:
        """Takes note of what has been played, here or by others.

        Args:
            rollout: The steps.
            finished: Statistics of the episodes that ended in it.
        """
        steps = rollout.num_steps
        self.num_env_steps_sampled_lifetime += steps
        self.finished.extend(finished)
        self.metrics.log_value(NUM_ENV_STEPS_SAMPLED, steps, reduce="sum")
        self.metrics.log_value(NUM_ENV_STEPS_SAMPLED_LIFETIME, steps, reduce="lifetime_sum")
        self.metrics.log_value(NUM_EPISODES, len(finished), reduce="sum")
        if finished:
            self.metrics.log_value(EPISODE_RETURN_MEAN, float(np.mean([row["episode_return"] for row in finished])))
            self.metrics.log_value(EPISODE_LEN_MEAN, float(np.mean([row["length"] for row in finished])))

    def get_metrics(self) -> Any:
        return self.metrics.reduce()

    def pop_finished(self) -> list[dict[str, Any]]:
        """Statistics of the training episodes that ended since the last call."""
        rows, self.finished = self.finished, []
        return rows

    def get_spaces(self) -> dict[str, tuple[gym.Space[Any], gym.Space[Any]]]:
        spaces = (self.env.single_observation_space, self.env.single_action_space)
        return {INPUT_ENV_SPACES: spaces, INPUT_ENV_SINGLE_SPACES: spaces, DEFAULT_MODULE_ID: spaces}

    def assert_healthy(self) -> None:
        assert self.module is not None, "The runner has no module."

    def stop(self) -> None:
        close = getattr(self.env, "close", None)
        if close is not None:
            close()

    def get_state(
        self,
        components: str | Collection[str] | None = None,
        *,
        not_components: str | Collection[str] | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        state: dict[str, Any] = {
            NUM_ENV_STEPS_SAMPLED_LIFETIME: self.num_env_steps_sampled_lifetime,
            "return_scale": self.return_scale.get_state(),
        }
        if self._check_component(EPISODES, components, not_components):
            state[EPISODES] = {"env": self.env.get_state(), "generator": self._generator.get_state().numpy()}
        if self._check_component(COMPONENT_RL_MODULE, components, not_components):
            state[COMPONENT_RL_MODULE] = self.module.get_state(**kwargs)
            state[WEIGHTS_SEQ_NO] = self._weights_seq_no
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        if COMPONENT_RL_MODULE in state:
            sequence = state.get(WEIGHTS_SEQ_NO, 0)
            if sequence == 0 or self._weights_seq_no < sequence:
                weights = state[COMPONENT_RL_MODULE]
                if isinstance(weights, ray.ObjectRef):  # as a remote runner gets them
                    weights = ray.get(weights)
                self.module.set_state(weights.get(DEFAULT_MODULE_ID, weights))
            self._weights_seq_no = max(self._weights_seq_no, sequence)
        if EPISODES in state:  # only a checkpoint carries it
            self.return_scale.set_state(state["return_scale"])
            self.num_env_steps_sampled_lifetime = int(state[NUM_ENV_STEPS_SAMPLED_LIFETIME])
            self.env.set_state(state[EPISODES]["env"])
            self._generator.set_state(torch.from_numpy(state[EPISODES]["generator"]))

    def get_ctor_args_and_kwargs(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (), {"config": self.config}

    def get_checkpointable_components(self) -> list[tuple[str, Any]]:
        return [(COMPONENT_RL_MODULE, self.module)]
