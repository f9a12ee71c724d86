"""Importing this module registers ``rl_sched/Scheduling-v0`` with Gymnasium, single and vector.

``gymnasium.make("rl_sched.envs.registration:rl_sched/Scheduling-v0")`` imports it by itself (Gymnasium 1 has no other
plugin mechanism); after an import of it the plain id works too.
"""

from __future__ import annotations

import gymnasium as gym

ENV_ID = "rl_sched/Scheduling-v0"

if ENV_ID not in gym.registry:
    gym.register(
        id=ENV_ID,
        entry_point="rl_sched.envs.single:SchedulingEnv",
        vector_entry_point="rl_sched.envs.vector:SchedulingVectorEnv",
    )
