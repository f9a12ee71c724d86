"""The learning environment ``rl_sched/Scheduling-v0``, and the tables of lookahead modes and rewards."""

from rl_sched.registry import Registry

LOOKAHEADS = Registry(
    "lookahead mode",
    {
        "off": "rl_sched.envs.lookahead:off",
        "per_gpu": "rl_sched.envs.lookahead:per_gpu",
        "sorted": "rl_sched.envs.lookahead:ascending",
        "cdf": "rl_sched.envs.lookahead:cdf",
    },
)

REWARDS = Registry(
    "reward",
    {
        "jct": "rl_sched.envs.rewards:jct",
        "lost": "rl_sched.envs.rewards:lost",
        "planned": "rl_sched.envs.rewards:planned",
        "ppo-jobs": "rl_sched.envs.rewards:ppo_jobs",
        "ppo-jobs-shaped": "rl_sched.envs.rewards:ppo_jobs_shaped",
        "drl-het": "rl_sched.envs.rewards:drl_het",
    },
)
