"""Registers ``rl_sched/Scheduling-v0`` with Gymnasium, which calls ``register`` through a package entry point."""

from __future__ import annotations

import gymnasium as gym

ENV_ID = "rl_sched/Scheduling-v0"


def register() -> None:
    """Registers the environment, single and vector; harmless when called twice."""
    if ENV_ID not in gym.registry:
        gym.register(
            id=ENV_ID,
            entry_point="rl_sched.envs.single:SchedulingEnv",
            vector_entry_point="rl_sched.envs.vector:SchedulingVectorEnv",
        )
