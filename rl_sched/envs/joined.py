"""Several scenarios in one vector environment, in one shape of observation: for policies that play them all.

Windows, clusters and numbers of GPU types are filled up. What is filled up looks like what does not exist: empty slots,
GPUs of no type, types on which no job can run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from rl_sched.config import EnvConfig
from rl_sched.envs.observation import NUM_PLAIN, ObsSpec, per_type_blocks, spec_of
from rl_sched.envs.spaces import Obs, empty_observation, space_of
from rl_sched.envs.vector import SchedulingVectorEnv
from rl_sched.errors import ConfigError


def joined_spec(specs: Sequence[ObsSpec], config: EnvConfig) -> ObsSpec:
    """The smallest shape that has room for all of them, and for ``env.types`` GPU types.

    Raises:
        ConfigError: ``env.types`` is fewer than a scenario has.
    """
    most = max(spec.num_types for spec in specs)
    if config.types is not None and config.types < most:
        raise ConfigError(f"env.types must be at least {most}, the GPU types of the scenario; it is {config.types}.")
    gpus, window = max(spec.num_gpus for spec in specs), max(spec.window for spec in specs)
    return spec_of(config.types or most, gpus, window, config, specs[0].arrival_features > 0)


class _Part:
    """One scenario's environments, at rows ``first`` and following of the joined observation."""

    def __init__(self, env: SchedulingVectorEnv, first: int, spec: ObsSpec, config: EnvConfig) -> None:
        self.env, self.rows = env, slice(first, first + env.num_envs)
        self.own = own = env.spec_obs
        t, room = own.num_types, spec.num_types
        columns, absent, filling = list(range(NUM_PLAIN)), list[int](), list[float]()
        start = NUM_PLAIN
        for block in per_type_blocks(config):
            size = len(block.names)
            columns += range(start, start + size * t)
            absent += range(start + size * t, start + size * room)
            filling += block.never * (room - t)
            start += size * room
        self._columns, self._absent = np.array(columns), np.array(absent, np.int64)
        self._filling = np.array(filling, np.float32)
        # Where the part's actions are among the joined ones: 0 = wait, 1 + slot * types + type.
        slot, kind = np.divmod(np.arange(own.num_actions - 1), t)
        self._actions = np.concatenate([[0], 1 + slot * room + kind])
        self._back = np.zeros(spec.num_actions, np.int64)  # what the part does not know is masked
        self._back[self._actions] = np.arange(own.num_actions)

    def observe(self, part: Obs, out: Obs) -> None:
        """Copies the part's observation to its place."""
        own, rows = self.own, self.rows
        jobs = out["jobs"][rows, : own.window]
        jobs[:, :, self._columns] = part["jobs"]
        if len(self._absent):
            jobs[:, :, self._absent] = part["jobs"][:, :, :1] * self._filling  # the first column: the job exists
        out["gpus"][rows, : own.num_gpus, : own.gpu_features] = part["gpus"]
        out["globals"][rows, : own.global_features] = part["globals"]
        out["action_mask"][rows, self._actions] = part["action_mask"]
        if own.arrival_features:
            out["arrivals"][rows] = part["arrivals"]
        if own.guided:
            out["guide"][rows] = self._actions[part["guide"]]

    def step(self, actions: np.ndarray) -> tuple[Obs, np.ndarray, np.ndarray, np.ndarray]:
        """One step; ``actions`` (N,) of all parts, negative = only observe."""
        joined = actions[self.rows]
        return self.env.step_raw(np.where(joined < 0, joined, self._back[np.maximum(joined, 0)]))


class JoinedVectorEnv:
    """The raw door over the environments of several scenarios.

    Args:
        envs: One vector environment a scenario; they go on owning their episodes.
        config: What all of them show.
        room: Shapes that observations have at least; None = as large as the largest.

    Attributes:
        groups: (N,) number of the scenario of each environment.
    """

    def __init__(self, envs: Sequence[SchedulingVectorEnv], config: EnvConfig, room: ObsSpec | None = None) -> None:
        specs = [env.spec_obs for env in envs]
        self.spec_obs = spec = joined_spec([*specs, room] if room else specs, config)
        starts = np.cumsum([0] + [env.num_envs for env in envs])
        self._parts = [_Part(env, int(first), spec, config) for env, first in zip(envs, starts, strict=False)]
        self.num_envs = int(starts[-1])
        self.groups = np.repeat(np.arange(len(envs)), [env.num_envs for env in envs])
        self.single_observation_space: gym.Space[Any] = space_of(spec)
        self.single_action_space: gym.Space[Any] = gym.spaces.Discrete(spec.num_actions)
        self._obs = empty_observation(self.num_envs, spec)
        if spec.guided:
            self._obs["guide"] = np.zeros(self.num_envs, np.int64)

    def reset_raw(self, seed: int | None = None) -> Obs:
        """Starts new episodes everywhere; returns the observation buffers."""
        for part in self._parts:
            part.observe(part.env.reset_raw(seed), self._obs)
        return self._obs

    def step_raw(self, actions: np.ndarray) -> tuple[Obs, np.ndarray, np.ndarray, np.ndarray]:
        """One step of all; see ``SchedulingVectorEnv.step_raw``."""
        actions = np.asarray(actions, np.int64)
        steps = [part.step(actions) for part in self._parts]
        for part, (obs, *_) in zip(self._parts, steps, strict=True):
            part.observe(obs, self._obs)
        rewards, done, was_reset = (np.concatenate([step[k] for step in steps]) for k in (1, 2, 3))
        return self._obs, rewards, done, was_reset

    @property
    def observation(self) -> Obs:
        """What the parts show now, joined: for parts that were stepped by themselves."""
        for part in self._parts:
            part.observe(part.env.observation, self._obs)
        return self._obs

    def set_difficulty(self, load_factor: float = 1.0, jobs_frac: float = 1.0) -> None:
        """See ``SchedulingVectorEnv``."""
        for part in self._parts:
            part.env.set_difficulty(load_factor, jobs_frac)

    def set_progress(self, frac: float) -> None:
        """See ``SchedulingVectorEnv``."""
        for part in self._parts:
            part.env.set_progress(frac)

    @property
    def discounts(self) -> np.ndarray:
        """(N,) by elapsed time, of the last step."""
        return np.concatenate([part.env.discounts for part in self._parts])

    def pop_finished(self) -> list[dict[str, Any]]:
        """Statistics of the episodes that ended since the last call; ``env`` is the number here."""
        return [{**row, "env": row["env"] + part.rows.start} for part in self._parts for row in part.env.pop_finished()]

    def get_state(self) -> dict[str, Any]:
        """All that decides what follows, as a copy."""
        return {
            "parts": [part.env.get_state() for part in self._parts],
            "obs": {key: value.copy() for key, value in self._obs.items()},
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Continues from ``get_state``."""
        for part, kept in zip(self._parts, state["parts"], strict=True):
            part.env.set_state(kept)
        for key, value in self._obs.items():
            value[...] = state["obs"][key]
