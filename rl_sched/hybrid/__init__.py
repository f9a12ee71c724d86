"""Splitting single tasks between CPU and GPU: the STRATEGIES and PRESETS tables.

A strategy says for every task what fraction of it goes to a GPU. A preset is a law of tasks and the machine that runs
them. Nothing is imported here: numba, scikit-learn and RLlib cost seconds.
"""

from rl_sched.registry import Registry

#: How a task's fraction is chosen. Every entry is a ``rl_sched.hybrid.strategy.Strategy``.
STRATEGIES = Registry(
    "strategy",
    {
        "round_robin": "rl_sched.hybrid.rules:RoundRobin",
        "random": "rl_sched.hybrid.rules:Random",
        "greedy": "rl_sched.hybrid.rules:Greedy",
        "cpu_only": "rl_sched.hybrid.rules:CpuOnly",
        "gpu_only": "rl_sched.hybrid.rules:GpuOnly",
        "oracle": "rl_sched.hybrid.rules:Oracle",
        "hybrid_ml": "rl_sched.hybrid.forest_strategy:HybridMl",
        "rl_agent": "rl_sched.hybrid.agent:RlAgent",
    },
)

#: Tasks and machine. Every entry makes a ``rl_sched.hybrid.presets.Preset``.
PRESETS = Registry(
    "preset",
    {
        "default": "rl_sched.hybrid.presets:default",
        "compatibility": "rl_sched.hybrid.presets:compatibility",
    },
)
