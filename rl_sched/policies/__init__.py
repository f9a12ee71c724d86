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
        "easy": "rl_sched.policies.easy:Easy",
        "conservative": "rl_sched.policies.conservative:Conservative",
        "round_robin": "rl_sched.policies.round_robin:RoundRobin",
        "edf": "rl_sched.policies.deadlines:EarliestDeadline",
        "qssf": "rl_sched.policies.qssf:QuasiShortestService",
        "f1": "rl_sched.policies.score_functions:F1",
        "f2": "rl_sched.policies.score_functions:F2",
        "f3": "rl_sched.policies.score_functions:F3",
        "f4": "rl_sched.policies.score_functions:F4",
        "wfp3": "rl_sched.policies.wfp3:Wfp3",
        "unicep": "rl_sched.policies.unicep:Unicep",
        "power_aware": "rl_sched.policies.cheapest_pool:PowerAware",
        "cost_aware": "rl_sched.policies.cheapest_pool:CostAware",
        "smallest_area": "rl_sched.policies.shortest:SmallestArea",
        "most_gpus": "rl_sched.policies.gangs:MostGpus",
        "fewest_gpus": "rl_sched.policies.gangs:FewestGpus",
        "priority": "rl_sched.policies.priority:Priority",
        "best_fit": "rl_sched.policies.best_fit:BestFit",
        "local_search": "rl_sched.policies.local_search:LocalSearch",
        "min_min": "rl_sched.policies.min_min:MinMin",
        "index": "rl_sched.policies.index:Index",
        "max_min_fairness": "rl_sched.policies.gavel.policies:MaxMinFairness",
        "finish_time_fairness": "rl_sched.policies.gavel.policies:FinishTimeFairness",
        "min_makespan": "rl_sched.policies.gavel.policies:MinMakespan",
        "gavel_fifo": "rl_sched.policies.gavel.policies:GavelFifo",
        "allox": "rl_sched.policies.allox:AlloX",
        "jps": "rl_sched.policies.jps.policy:Jps",
    },
)
