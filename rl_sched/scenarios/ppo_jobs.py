"""The published single-type benchmark: 8 equal GPUs, 400 jobs, one start and one event per decision."""

from __future__ import annotations

from rl_sched.cluster import ClusterSpec
from rl_sched.scenarios.base import Scenario, SeedRanges
from rl_sched.sim.rules import Rules
from rl_sched.traces import TRACES


def ppo_jobs() -> Scenario:
    """Its generator, event order, deadline, reward and seed ranges; policies see the 50 oldest jobs only."""
    trace = TRACES.create("ppo-jobs")
    return Scenario(
        name="ppo-jobs",
        cluster=ClusterSpec.of(gpu=8),
        rules=Rules(window=50, dispatch="one_start_per_event", tie_order="heapq", horizon_factor=1.3, max_steps=2000),
        num_jobs=400,
        make=trace.load,
        splits=SeedRanges(
            train=range(1_000_001, 1_012_001), val=range(2_000_001, 2_000_061), report=range(12_000_001, 12_000_061)
        ),
        time_scale_s=500.0,
        lookahead_s=10_000.0,
        reward="ppo-jobs",
        objective="episode_return",
        maximize=True,
        # python -m rl_sched.tune_rule --policy min_min --scenario ppo-jobs --candidates 150
        # It plans for starts that take no time; here each costs an event, so it stays far below most_gpus.
        # python -m rl_sched.tune_rule --policy index --scenario ppo-jobs --candidates 150 --episodes 60
        tuned={
            "min_min": {"alpha": 2.5, "theta": 1.5, "depth": 6},
            "index": {"duration": 0.0553, "gang": -1.21, "area": 0.119, "waiting": -1.73, "speed": 1.74},
        },
    )
