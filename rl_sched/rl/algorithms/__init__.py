"""The ALGORITHMS table: how a policy learns, by name.

An entry is a function ``(experiment, make_env) -> AlgorithmConfig``; what it builds is a ``LocalAlgorithm``.
"""

from rl_sched.registry import Registry

ALGORITHMS = Registry(
    "algorithm",
    {
        "ppo": "rl_sched.rl.algorithms.ppo:ppo_config",
        "dqn": "rl_sched.rl.algorithms.dqn:dqn_config",
        "sac": "rl_sched.rl.algorithms.sac:sac_config",
    },
)
