"""200 jobs of a heavy-tailed law on three GPU types, at more than the capacity while they arrive."""

from __future__ import annotations

from rl_sched.cluster import ClusterSpec
from rl_sched.scenarios.base import DEFAULT_SEEDS, Scenario
from rl_sched.sim.rules import Rules
from rl_sched.traces import TRACES

TYPES = ("a100", "v100", "t4")
GPUS_PER_TYPE = 8
#: Counted on the fastest type; about 1.4 as taken, with the slow-downs.
LOAD = 0.9


def heavy_tail() -> Scenario:
    """Bursts of jobs with Pareto run times (tail exponent 1.1, 5 to 5,000 s) on 8 GPUs of each type."""
    trace = TRACES.create(
        "synthetic",
        durations="pareto",
        min_duration_s=5.0,
        max_duration_s=5_000.0,
        gpu_types=TYPES,
        offered_load=LOAD,
        load_gpus=GPUS_PER_TYPE * len(TYPES),
    )
    return Scenario(
        name="heavy-tail",
        cluster=ClusterSpec.of(**dict.fromkeys(TYPES, GPUS_PER_TYPE)),
        rules=Rules(window=50),
        num_jobs=trace.num_jobs,
        make=trace.load,
        splits=DEFAULT_SEEDS,
        time_scale_s=30.0,
        lookahead_s=300.0,
        # python -m rl_sched.tune_rule --policy min_min --scenario heavy-tail --candidates 150
        # python -m rl_sched.tune_rule --policy index --scenario heavy-tail --candidates 150
        # For local_search the defaults win there.
        tuned={
            "min_min": {"alpha": 2.26, "theta": 0.7, "depth": 5},
            "index": {"duration": 0.483, "gang": -1.49, "area": 0.437, "waiting": -0.0625, "speed": 1.16},
        },
    )
