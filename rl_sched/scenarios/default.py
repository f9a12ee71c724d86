"""200 jobs in bursts on 8 fast, 4 medium and 4 slow GPUs, at about 0.85 of the capacity."""

from __future__ import annotations

from rl_sched.cluster import ClusterSpec
from rl_sched.scenarios.base import DEFAULT_SEEDS, Scenario
from rl_sched.sim.rules import Rules
from rl_sched.traces import TRACES


def default() -> Scenario:
    """The scenario that everything is compared on; its trace is ``synthetic`` with its defaults."""
    trace = TRACES.create("synthetic")
    return Scenario(
        name="default",
        cluster=ClusterSpec.of(a100=8, v100=4, t4=4),
        rules=Rules(window=50),
        num_jobs=trace.num_jobs,
        make=trace.load,
        splits=DEFAULT_SEEDS,
        time_scale_s=50.0,
        lookahead_s=400.0,
        # python -m rl_sched.tune_rule --policy min_min --candidates 150 --episodes 400
        # python -m rl_sched.tune_rule --policy index --candidates 250 --episodes 300
        # python -m rl_sched.tune_rule --policy local_search --candidates 48 --episodes 64
        tuned={
            "min_min": {"alpha": 1.56, "theta": 1.12, "depth": 6},
            "index": {"duration": 0.819, "gang": -1.49, "area": -0.193, "waiting": -0.61, "speed": 2.78},
            "local_search": {"alpha": 1.03, "theta": 1.29},
        },
    )
