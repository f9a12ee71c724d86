"""The SCENARIOS table: workload x cluster x rules x objective under one name, with TRAIN, VAL and REPORT seeds."""

from rl_sched.registry import Registry

SCENARIOS = Registry(
    "scenario",
    {
        "default": "rl_sched.scenarios.default:default",
        "ppo-jobs": "rl_sched.scenarios.ppo_jobs:ppo_jobs",
        "philly": "rl_sched.scenarios.philly:philly",
    },
)
