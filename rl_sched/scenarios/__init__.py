"""The SCENARIOS table: workload x cluster x rules x objective under one name, with TRAIN, VAL and REPORT seeds.

Any scenario under other rules: ``SCENARIOS.create("default estimate_noise:1.0")``, wherever a scenario is named.
"""

from rl_sched.scenarios.table import ScenarioTable

SCENARIOS = ScenarioTable(
    "scenario",
    {
        "default": "rl_sched.scenarios.default:default",
        "ppo-jobs": "rl_sched.scenarios.ppo_jobs:ppo_jobs",
        "philly": "rl_sched.scenarios.philly:philly",
    },
)
