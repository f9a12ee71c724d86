"""What no schedule can beat: optima of small instances (``exact``) and cheap lower bounds of large ones (``lower``)."""

from rl_sched.registry import Registry

OBJECTIVES = Registry(
    "objective",
    {
        "total_jct": "rl_sched.policies.bounds.objectives:total_jct",
        "makespan": "rl_sched.policies.bounds.objectives:makespan",
    },
)
