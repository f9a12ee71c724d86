"""Importing this module registers ``rl_sched/HybridOffload-v0`` with Gymnasium."""

from __future__ import annotations

import gymnasium as gym

ENV_ID = "rl_sched/HybridOffload-v0"

if ENV_ID not in gym.registry:
    gym.register(id=ENV_ID, entry_point="rl_sched.hybrid.env:HybridEnv")
