"""Slices of a busy virtual cluster of the Philly log: learned on early weeks, judged on later ones."""

from __future__ import annotations

from rl_sched.cluster import ClusterSpec
from rl_sched.scenarios.base import Scenario
from rl_sched.scenarios.slices import Periods, sliced
from rl_sched.traces import TRACES

VC = "6c71a0"
MAX_GANG = 8
TRAIN_UNTIL = "2017-10-18"
VAL_UNTIL = "2017-10-22"


def philly() -> Scenario:
    """200 consecutive jobs on 16 GPUs."""
    train = TRACES.create("philly", vc=VC, max_gpus=MAX_GANG, end=TRAIN_UNTIL)

    def periods() -> Periods:
        val = TRACES.create("philly", vc=VC, max_gpus=MAX_GANG, start=TRAIN_UNTIL, end=VAL_UNTIL)
        report = TRACES.create("philly", vc=VC, max_gpus=MAX_GANG, start=VAL_UNTIL)
        return Periods(train.load(), val.load(), report.load())

    return sliced(
        "philly",
        ClusterSpec.of(gpu=16),
        periods,
        train.available(),
        num_jobs=200,
        load=1.1,  # contended, and comparable between weeks
        window=50,
        time_scale_s=2_000.0,
        lookahead_s=20_000.0,
        # python -m rl_sched.tune_rule --policy min_min --scenario philly --candidates 150
        # For index the defaults win there.
        # python -m rl_sched.tune_rule --policy local_search --scenario philly --candidates 48 --episodes 64
        tuned={
            "min_min": {"alpha": 2.03, "theta": 1.35, "depth": 3},
            "local_search": {"alpha": 1.8, "theta": 1.74},
        },
    )
