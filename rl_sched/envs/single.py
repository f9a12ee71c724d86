"""One scheduling environment, as a Gymnasium environment: the vector environment with N = 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np

from rl_sched.config import EnvConfig
from rl_sched.envs.vector import Obs, SchedulingVectorEnv
from rl_sched.scenarios.base import Scenario
from rl_sched.sim.result import RunResult
from rl_sched.sim.snapshot import Snapshot


class SchedulingEnv(gym.Env[Obs, np.int64]):
    """Schedule the jobs of one workload.

    ## Action space
    Discrete(W * T + 1): 0 waits until at least one event has happened; 1 + slot * T + type starts the job in that
    slot of the window on that GPU type. An illegal action waits instead and is counted (``info["illegal"]``);
    with ``strict`` it raises. ``observation["action_mask"]`` is exact.

    ## Observation space
    A dict of ``jobs (W, Fj)``, ``gpus (G, Fg)``, ``globals (Fx,)``, ``action_mask (A,)`` and, with a guide,
    ``guide``; see ``rl_sched.envs.observation``.

    ## Rewards
    A name of the REWARDS table; the default is minus the integral of jobs in the system, so that an episode's sum
    is minus the mean JCT in units of the scenario's ``time_scale_s``.

    ## Episode end
    Terminated when all jobs are done. Truncated at the deadline or step limit of the scenario's rules, and after
    ``bank.MAX_DECISIONS_PER_JOB`` decisions per job.

    ## Version history
    * v0: first version.
    """

    metadata = {"render_modes": []}

    def __init__(
        self,
        scenario: Scenario | str = "default",
        env: EnvConfig | None = None,
        seed: int = 0,
        split: str = "train",
        *,
        seeds: Sequence[int] | None = None,
        strict: bool = False,
    ) -> None:
        self._vector = SchedulingVectorEnv(scenario, env, 1, seed, split, seeds=seeds, strict=strict)
        self.observation_space = self._vector.single_observation_space
        self.action_space = self._vector.single_action_space

    def _first(self, obs: Obs) -> Obs:
        return {key: value[0].copy() if value.ndim > 1 else value[0] for key, value in obs.items()}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Obs, dict[str, Any]]:
        """Starts the next episode; a seed restarts the sequence of workloads that belongs to it."""
        super().reset(seed=seed)
        obs = self._vector.reset_raw(seed)
        return self._first(obs), {"workload_seed": int(self._vector.episode_seed[0]), "illegal": False}

    def step(self, action: Any) -> tuple[Obs, float, bool, bool, dict[str, Any]]:
        """One decision, and the time until the next one."""
        _, reward, terminated, truncated, info = self._vector.step(np.asarray([action]))
        flags = {"workload_seed": int(info["workload_seed"][0]), "illegal": bool(info["illegal"][0])}
        return self._first(self._vector.observation), float(reward[0]), bool(terminated[0]), bool(truncated[0]), flags

    def snapshot(self) -> Snapshot:
        """What a policy would see now."""
        return self._vector.snapshot(0)

    def result(self) -> RunResult:
        """The jobs so far."""
        return self._vector.result(0)
