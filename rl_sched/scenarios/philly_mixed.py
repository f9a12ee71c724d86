"""Slices of the other virtual clusters of the Philly log, on three GPU types."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rl_sched.cluster import ClusterSpec
from rl_sched.scenarios.base import Scenario
from rl_sched.scenarios.philly import VC
from rl_sched.scenarios.slices import Periods, sliced
from rl_sched.traces import TRACES
from rl_sched.traces.flops_speeds import BETAS, flops_speeds
from rl_sched.workload import Workload

NUM_JOBS = 200
MAX_GANG = 8
SLICES = 40  # of VAL, and of REPORT
TYPES = ("v100", "p100", "t4")
_CLASS_SEED = 0


def philly_mixed() -> Scenario:
    """200 consecutive jobs of all virtual clusters but that of ``philly``, on 8 v100, 8 p100 and 8 t4.

    The log has neither GPU types nor models. Assumed: its run times are those on a v100, and every job is of one of
    the four classes of ``flops_speeds``, drawn once for the log's jobs.
    """
    trace = TRACES.create("philly", max_gpus=MAX_GANG)

    def periods() -> Periods:
        jobs = trace.load()
        others = jobs.take(jobs.vc != jobs.vc_names.index(VC))
        return Periods.last(_with_classes(others), SLICES * NUM_JOBS, SLICES * NUM_JOBS)

    return sliced(
        "philly-mixed",
        ClusterSpec.of(**dict.fromkeys(TYPES, 8)),
        periods,
        trace.available(),
        num_jobs=NUM_JOBS,
        load=1.0,
        window=50,
        time_scale_s=2_000.0,
        lookahead_s=20_000.0,
        # python -m rl_sched.tune_rule --policy index --scenario philly-mixed --candidates 150
        # For min_min the defaults win there.
        # python -m rl_sched.tune_rule --policy local_search --scenario philly-mixed --candidates 48 --episodes 64
        tuned={
            "index": {"duration": 1.57, "gang": -0.625, "area": 0.281, "waiting": -0.945, "speed": 2.82},
            "local_search": {"alpha": 1.97, "theta": 1.22},
        },
    )


def _with_classes(jobs: Workload) -> Workload:
    classes = np.random.default_rng(_CLASS_SEED).integers(0, len(BETAS), len(jobs))
    classes.flags.writeable = False
    return replace(jobs, job_class=classes, speed=flops_speeds(TYPES), gpu_types=TYPES)
