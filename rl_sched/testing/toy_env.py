"""A vector environment that any working learner solves in seconds: start the shortest waiting job.

It speaks the raw door of ``SchedulingVectorEnv`` (NEXT_STEP autoreset, reused buffers, masks) without a simulator.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray


class ToySpec(NamedTuple):
    """Shapes of the toy observation, with the fields of ``ObsSpec``."""

    window: int = 6
    job_features: int = 4
    num_gpus: int = 4
    gpu_features: int = 4
    global_features: int = 2
    num_types: int = 2
    guided: bool = False
    arrival_features: int = 0

    @property
    def num_actions(self) -> int:
        return 1 + self.window * self.num_types


class ToyVectorEnv:
    """N episodes of ``length`` decisions each; some number of jobs waits at each, with random lengths.

    Reward of a start: minus the job's length (column 1) on type 0, half that on type 1, which is open half of the
    time; the no-op costs 1. The best policy starts the job with the smallest cost. An episode's ``mean_jct_s`` is
    100 times its mean cost: the best policy reaches 20, a random one 55.
    """

    def __init__(self, num_envs: int, seed: int, split: str = "train", length: int = 16, guided: bool = False) -> None:
        self.num_envs = num_envs
        self.length = length
        self.spec_obs = ToySpec(guided=guided)
        self._rng = np.random.default_rng([seed, sum(split.encode())])
        spec = self.spec_obs
        self._obs: dict[str, NDArray[Any]] = {
            "jobs": np.zeros((num_envs, spec.window, spec.job_features), np.float32),
            "gpus": np.zeros((num_envs, spec.num_gpus, spec.gpu_features), np.float32),
            "globals": np.zeros((num_envs, spec.global_features), np.float32),
            "action_mask": np.zeros((num_envs, spec.num_actions), np.int8),
        }
        if guided:
            self._obs["guide"] = np.zeros(num_envs, np.int64)
        self._cost = np.zeros((num_envs, spec.num_actions), np.float32)
        self._step = np.zeros(num_envs, np.int64)
        self._total = np.zeros(num_envs)
        self._noops = np.zeros(num_envs)
        self._over = np.zeros(num_envs, bool)
        self._finished: list[dict[str, Any]] = []
        box = {
            key: gym.spaces.Box(-2, 2, part.shape[1:], np.float32)
            for key, part in self._obs.items()
            if part.dtype == np.float32
        }
        extra: dict[str, gym.Space[Any]] = {"action_mask": gym.spaces.Box(0, 1, (spec.num_actions,), np.int8)}
        if guided:
            extra["guide"] = gym.spaces.Discrete(spec.num_actions)
        self.single_observation_space: gym.Space[Any] = gym.spaces.Dict({**box, **extra})
        self.single_action_space: gym.Space[Any] = gym.spaces.Discrete(spec.num_actions)

    def set_difficulty(self, load_factor: float = 1.0, jobs_frac: float = 1.0) -> None:
        """There is no easier form."""

    def set_progress(self, frac: float) -> None:
        """Nothing depends on it."""

    @property
    def groups(self) -> NDArray[np.int64]:
        return np.zeros(self.num_envs, np.int64)

    def reset_raw(self, seed: int | None = None) -> dict[str, NDArray[Any]]:
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self._restart(np.ones(self.num_envs, bool))
        return self._draw()

    def step_raw(
        self, actions: NDArray[np.int64]
    ) -> tuple[dict[str, NDArray[Any]], NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
        rows = np.arange(self.num_envs)
        was_reset = self._over.copy()
        acts = ~was_reset & (actions >= 0)  # -1 = observe only
        legal = self._obs["action_mask"][rows, actions] == 1
        assert (legal | ~acts).all(), "an illegal action was taken"
        reward = np.where(acts, -self._cost[rows, actions], 0.0).astype(np.float32)
        self._total += reward
        self._noops += (actions == 0) & acts
        self._restart(was_reset)
        self._step += acts
        done = acts & (self._step == self.length)
        for i in np.flatnonzero(done):
            self._finished.append(
                {
                    "mean_jct_s": -100.0 * self._total[i] / self.length,
                    "episode_return": float(self._total[i]),
                    "length": self.length,
                    "illegal": 0,
                    "noop_share": self._noops[i] / self.length,
                    "num_unfinished": 0,
                    "seed": int(i),
                    "env": int(i),
                }
            )
        self._over = done
        return self._draw(), reward, done, was_reset

    @property
    def discounts(self) -> NDArray[np.float64]:
        return np.ones(self.num_envs)

    def pop_finished(self) -> list[dict[str, Any]]:
        rows, self._finished = self._finished, []
        return rows

    def _kept(self) -> list[NDArray[Any]]:
        return [*self._obs.values(), self._cost, self._step, self._total, self._noops, self._over]

    def get_state(self) -> dict[str, Any]:
        return {"arrays": [array.copy() for array in self._kept()], "rng": self._rng.bit_generator.state}

    def set_state(self, state: dict[str, Any]) -> None:
        for array, kept in zip(self._kept(), state["arrays"], strict=True):
            array[...] = kept
        self._rng.bit_generator.state = state["rng"]

    def _restart(self, which: NDArray[np.bool_]) -> None:
        self._step[which] = 0
        self._total[which] = 0.0
        self._noops[which] = 0.0
        self._over[which] = False

    def _draw(self) -> dict[str, NDArray[Any]]:
        spec, rng = self.spec_obs, self._rng
        valid = np.arange(spec.window) < rng.integers(1, spec.window + 1, self.num_envs)[:, None]
        length = rng.random((self.num_envs, spec.window)).astype(np.float32)
        fast_open = rng.random(self.num_envs) < 0.5
        jobs = self._obs["jobs"]
        jobs[:] = 0.0
        jobs[valid, 0] = 1.0
        jobs[valid, 1] = length[valid]
        jobs[valid, 2] = np.log(length[valid] + 1e-2) / 5
        gpus = self._obs["gpus"]
        gpus[:, :, 0] = rng.random((self.num_envs, spec.num_gpus))
        gpus[:, :, 1] = [1.0, 1.0, 0.5, 0.5]
        gpus[:, :, 2:] = np.eye(2)[[0, 0, 1, 1]]
        self._obs["globals"][:, 0] = valid.mean(axis=1)
        self._obs["globals"][:, 1] = fast_open
        open_types = np.stack([np.ones(self.num_envs, bool), fast_open], axis=1)
        mask = self._obs["action_mask"]
        mask[:, 0] = 1
        mask[:, 1:] = (valid[:, :, None] & open_types[:, None, :]).reshape(self.num_envs, -1)
        self._cost[:, 0] = 1.0
        self._cost[:, 1:] = (length[:, :, None] * np.array([1.0, 0.5], np.float32)).reshape(self.num_envs, -1)
        if spec.guided:
            self._obs["guide"][:] = np.where(mask == 1, self._cost, 9.0).argmin(axis=1)
        return self._obs
