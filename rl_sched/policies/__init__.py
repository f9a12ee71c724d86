"""The POLICIES table: every scheduling rule by name.

A policy is a frozen dataclass whose fields are its parameters, with ``decide(snapshot)``. Ranking policies extend
``ranking.RankingPolicy`` (one method, ``keys``), compiled rules extend ``rule.KernelRule`` (one kernel).
"""

from rl_sched.registry import Registry

POLICIES = Registry(
    "policy",
    {
        "random": "rl_sched.policies.random_feasible:RandomFeasible",
        "fifo": "rl_sched.policies.fifo:Fifo",
        "fifo_backfill": "rl_sched.policies.fifo:FifoBackfill",
        "sjf": "rl_sched.policies.shortest:ShortestJobFirst",
        "sjf_backfill": "rl_sched.policies.shortest:ShortestJobFirstBackfill",
        "srtf": "rl_sched.policies.preemptive:ShortestRemainingTime",
        "las": "rl_sched.policies.preemptive:LeastAttainedService",
        "tiresias": "rl_sched.policies.preemptive:Tiresias",
        "smallest_area": "rl_sched.policies.shortest:SmallestArea",
        "most_gpus": "rl_sched.policies.gangs:MostGpus",
        "fewest_gpus": "rl_sched.policies.gangs:FewestGpus",
        "priority": "rl_sched.policies.priority:Priority",
        "best_fit": "rl_sched.policies.best_fit:BestFit",
        "min_min": "rl_sched.policies.min_min:MinMin",
        "index": "rl_sched.policies.index:Index",
    },
)
