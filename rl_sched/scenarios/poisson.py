"""200 jobs that arrive at random on 16 equal GPUs: the plainest scenario."""

from __future__ import annotations

from rl_sched.cluster import ClusterSpec
from rl_sched.scenarios.base import DEFAULT_SEEDS, Scenario
from rl_sched.sim.rules import Rules
from rl_sched.traces import TRACES

NUM_GPUS = 16
LOAD = 0.95


def poisson() -> Scenario:
    """Poisson arrivals at an offered load of 0.95, lognormal run times, gangs of 1 to 8."""
    trace = TRACES.create(
        "synthetic",
        arrivals="poisson",
        gpu_types=(),
        slowdown_base=(),
        slowdown_slope=(),
        offered_load=LOAD,
        load_gpus=NUM_GPUS,
    )
    return Scenario(
        name="poisson",
        cluster=ClusterSpec.of(gpu=NUM_GPUS),
        rules=Rules(window=50),
        num_jobs=trace.num_jobs,
        make=trace.load,
        splits=DEFAULT_SEEDS,
        time_scale_s=50.0,
        lookahead_s=400.0,
        # python -m rl_sched.tune_rule --policy min_min --scenario poisson --candidates 150
        # python -m rl_sched.tune_rule --policy index --scenario poisson --candidates 150
        # python -m rl_sched.tune_rule --policy local_search --scenario poisson --candidates 48 --episodes 64
        tuned={
            "min_min": {"alpha": 2.46, "theta": 1.33, "depth": 1},
            "index": {"duration": 0.342, "gang": -0.968, "area": 0.855, "waiting": -0.749, "speed": 2.0},
            "local_search": {"alpha": 1.76, "theta": 1.72},
        },
    )
