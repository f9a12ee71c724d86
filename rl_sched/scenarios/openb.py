"""Slices of Alibaba's openb log on a few shared GPUs."""

from __future__ import annotations

from rl_sched.cluster import ClusterSpec
from rl_sched.scenarios.base import Scenario
from rl_sched.scenarios.slices import Periods, sliced
from rl_sched.traces import TRACES

NUM_JOBS = 100
SLICES = 15  # of VAL, and of REPORT
FIRST_DAY = 100.0  # before it the log holds leftovers alone
#: Longer pods, 4 % of the log, hold nine tenths of its work; on a few GPUs they would be all there is.
MAX_DURATION_S = 6 * 3600.0


def openb() -> Scenario:
    """100 consecutive pods on 8 GPUs; two fifths of them ask for a share of a GPU, which others may share."""
    trace = TRACES.create("openb", start_day=FIRST_DAY, max_duration_s=MAX_DURATION_S)
    return sliced(
        "openb",
        ClusterSpec.of(gpu=8),
        lambda: Periods.last(trace.load(), SLICES * NUM_JOBS, SLICES * NUM_JOBS),
        trace.available(),
        num_jobs=NUM_JOBS,
        load=1.3,
        window=50,
        time_scale_s=1_000.0,
        lookahead_s=10_000.0,
        # python -m rl_sched.tune_rule --policy index --scenario openb --candidates 150
        # For min_min no parameters beat the defaults there.
        # python -m rl_sched.tune_rule --policy local_search --scenario openb --candidates 48 --episodes 64
        tuned={
            "index": {"duration": 0.94, "gang": -1.87, "area": 0.616, "waiting": 0.493, "speed": 0.181},
            "local_search": {"alpha": 1.38, "theta": 1.75},
        },
    )
