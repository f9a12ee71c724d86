"""The SCENARIOS table: workload x cluster x rules x objective under one name, with TRAIN, VAL and REPORT seeds.

Any scenario under other rules: ``SCENARIOS.create("default estimate_noise:1.0")``, wherever a scenario is named.
"""

from rl_sched.scenarios.table import ScenarioTable

SCENARIOS = ScenarioTable(
    "scenario",
    {
        "default": "rl_sched.scenarios.default:default",
        "ppo-jobs": "rl_sched.scenarios.ppo_jobs:ppo_jobs",
        "poisson": "rl_sched.scenarios.poisson:poisson",
        "heavy-tail": "rl_sched.scenarios.heavy_tail:heavy_tail",
        "drl-het": "rl_sched.scenarios.drl_het:drl_het",
        # Slices of real logs, below the folder that RL_SCHED_TRACES names.
        "philly": "rl_sched.scenarios.philly:philly",
        "philly-mixed": "rl_sched.scenarios.philly_mixed:philly_mixed",
        "openb": "rl_sched.scenarios.openb:openb",
        "google": "rl_sched.scenarios.google:google",
        "gavel": "rl_sched.scenarios.gavel:gavel",
    },
)
