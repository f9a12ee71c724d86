"""What the runner hands to the learner: T steps of N environments as plain arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rl_sched.rl.networks.types import SpecLike


class RawVectorEnv(Protocol):
    """The fast door of ``SchedulingVectorEnv``: NEXT_STEP autoreset, reused observation buffers."""

    num_envs: int

    @property
    def spec_obs(self) -> SpecLike: ...
    @property
    def single_observation_space(self) -> gym.Space[Any]: ...
    @property
    def single_action_space(self) -> gym.Space[Any]: ...

    def reset_raw(self, seed: int | None = None) -> dict[str, NDArray[Any]]:
        """First observations of N fresh episodes."""

    def step_raw(
        self, actions: NDArray[np.int64]
    ) -> tuple[dict[str, NDArray[Any]], NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
        """Observations, rewards (N,), done (N,), was_reset (N,)."""

    def set_difficulty(self, load_factor: float = 1.0, jobs_frac: float = 1.0) -> None:
        """Of the episodes that start from now on: how fast jobs arrive, and which part of them is there."""

    def set_progress(self, frac: float) -> None:
        """Which part of the training is done, 0 to 1."""

    @property
    def groups(self) -> NDArray[np.int64]:
        """(N,) number of the scenario of each environment, ascending from 0."""

    @property
    def discounts(self) -> NDArray[np.float64]:
        """(N,) by elapsed time, of the last step; 1 without."""

    def pop_finished(self) -> list[dict[str, Any]]:
        """Statistics of the episodes that ended since the last call."""

    def get_state(self) -> dict[str, Any]:
        """All that decides what follows, as a copy: arrays, numbers, states of generators."""

    def set_state(self, state: dict[str, Any]) -> None:
        """Continues from ``get_state`` of an environment made alike."""


#: (num_envs, seed, split) -> environment.
EnvFactory = Callable[[int, int, str], RawVectorEnv]


class Rollout(NamedTuple):
    """T steps of N environments. The tensors are the runner's buffers: valid until its next ``sample``."""

    obs: dict[str, Tensor]  #: (T, N, ...) each
    actions: Tensor  #: (T, N) int64
    log_probs: Tensor  #: (T, N) of the taken actions
    values: Tensor  #: (T + 1, N); the last row is anything where the algorithm needs none
    rewards: Tensor  #: (T, N) as paid by the environment
    discounts: Tensor  #: (T, N) by elapsed time, of what follows the step; 1 where there is none
    done: Tensor  #: (T, N) bool
    reset: Tensor  #: (T, N) bool

    @property
    def num_steps(self) -> int:
        """Environment steps: reset rows do not count."""
        return self.reset.numel() - int(self.reset.sum())


def empty_rollout(steps: int, obs: Mapping[str, NDArray[Any]]) -> Rollout:
    """Buffers for ``steps`` steps of environments whose observations look like ``obs`` (N, ...)."""
    num_envs = len(next(iter(obs.values())))
    shape = (steps, num_envs)
    return Rollout(
        obs={key: torch.empty((steps, *part.shape), dtype=torch.from_numpy(part).dtype) for key, part in obs.items()},
        actions=torch.empty(shape, dtype=torch.int64),
        log_probs=torch.empty(shape),
        values=torch.empty((steps + 1, num_envs)),
        rewards=torch.empty(shape),
        discounts=torch.ones(shape),
        done=torch.empty(shape, dtype=torch.bool),
        reset=torch.empty(shape, dtype=torch.bool),
    )
