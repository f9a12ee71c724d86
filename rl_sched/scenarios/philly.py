"""Slices of a busy virtual cluster of the Philly log: learned on early weeks, judged on later ones."""

from __future__ import annotations

import numpy as np

from rl_sched.cluster import ClusterSpec
from rl_sched.scenarios.base import Scenario, SeedRanges
from rl_sched.sim.rules import Rules
from rl_sched.traces import TRACES
from rl_sched.workload import Workload

VC = "6c71a0"
NUM_JOBS = 200
MAX_GANG = 8
#: Every slice's arrivals are scaled to this offered load: contended, and comparable between weeks.
LOAD = 1.1
TRAIN_UNTIL = "2017-10-18"
VAL_UNTIL = "2017-10-22"


def philly() -> Scenario:
    """200 consecutive jobs on 16 GPUs; the seed is the row of the slice's first job."""
    cluster = ClusterSpec.of(gpu=16)
    train = TRACES.create("philly", vc=VC, max_gpus=MAX_GANG, end=TRAIN_UNTIL)
    missing = train.available()
    if missing:
        empty = SeedRanges(range(0), range(0), range(0))
        return _scenario(cluster, empty, lambda seed: train.load(), missing)
    val = TRACES.create("philly", vc=VC, max_gpus=MAX_GANG, start=TRAIN_UNTIL, end=VAL_UNTIL)
    report = TRACES.create("philly", vc=VC, max_gpus=MAX_GANG, start=VAL_UNTIL)
    parts = [part.load() for part in (train, val, report)]
    # Seeds number the rows of the three periods one after the other, so that the ranges cannot overlap.
    offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
    # TRAIN slices may overlap; those that judge are disjoint, so that their episodes are independent.
    steps = (1, NUM_JOBS, NUM_JOBS)
    ranges = [range(int(offsets[i]), int(offsets[i + 1]) - NUM_JOBS + 1, step) for i, step in enumerate(steps)]

    def make(seed: int) -> Workload:
        part = int(np.searchsorted(offsets, seed, side="right")) - 1
        first = seed - int(offsets[part])
        jobs = parts[part].take(np.arange(first, first + NUM_JOBS))
        return jobs.scale_load(LOAD / jobs.offered_load(cluster))

    return _scenario(cluster, SeedRanges(*ranges), make, None)


def _scenario(cluster: ClusterSpec, seeds: SeedRanges, make: object, missing: str | None) -> Scenario:
    return Scenario(
        name="philly",
        cluster=cluster,
        rules=Rules(window=50),
        num_jobs=NUM_JOBS,
        make=make,  # type: ignore[arg-type]
        seeds=seeds,
        time_scale_s=2_000.0,
        lookahead_s=20_000.0,
        # python -m rl_sched.tune_rule --policy min_min --scenario philly --candidates 150
        # For index the defaults win there.
        tuned={"min_min": {"alpha": 2.03, "theta": 1.35, "depth": 3}},
        missing=missing,
    )
