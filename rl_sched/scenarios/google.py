"""Slices of Google's log of 2011, whose tasks stand for GPUs."""

from __future__ import annotations

from rl_sched.cluster import ClusterSpec
from rl_sched.scenarios.base import Scenario
from rl_sched.scenarios.slices import Periods, sliced
from rl_sched.traces import TRACES

NUM_JOBS = 100
SLICES = 11  # of VAL, and of REPORT
PARTS = 4


def google() -> Scenario:
    """100 consecutive jobs on 16 GPUs.

    The log has no GPUs. Assumed, as its reader states: a job needs as many as it has tasks, 8 at most.
    """
    trace = TRACES.create("google-2011", parts=PARTS, max_gang=8)
    return sliced(
        "google",
        ClusterSpec.of(gpu=16),
        lambda: Periods.last(trace.load(), SLICES * NUM_JOBS, SLICES * NUM_JOBS),
        trace.available(),
        num_jobs=NUM_JOBS,
        load=1.1,
        window=50,
        time_scale_s=200.0,
        lookahead_s=2_000.0,
        # python -m rl_sched.tune_rule --policy min_min --scenario google --candidates 150
        # For index the defaults win there.
        # python -m rl_sched.tune_rule --policy local_search --scenario google --candidates 48 --episodes 64
        tuned={
            "min_min": {"alpha": 1.67, "theta": 0.861, "depth": 7},
            "local_search": {"alpha": 2.3, "theta": 1.53},
        },
    )
