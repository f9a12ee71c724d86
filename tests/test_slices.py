"""Contended slices of the public logs: mean JCT under FIFO, first fit and SJF beside figures measured elsewhere.

One pool of GPUs, gangs, no preemption, drained to the end; a gang larger than the pool is clipped to it. The expected
hours come with the traces (FORMATS.md, section 13).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from rl_sched.cluster import ClusterSpec, NodeGroup
from rl_sched.policies import POLICIES
from rl_sched.sim.rules import Rules
from rl_sched.sim.simulator import simulate
from rl_sched.traces import TRACES
from rl_sched.workload import Workload

OCTOBER = {"start": "2017-10-01", "end": "2017-11-01"}
HALF_OCTOBER = {"start": "2017-10-02", "end": "2017-10-16"}


class Slice(NamedTuple):
    name: str
    trace: str
    params: dict[str, object]
    gpus: int
    jobs: int
    fifo_h: float
    first_fit_h: float
    sjf_h: float
    within: float = 0.01  #: relative, beside half a unit of the last digit given
    # G was sampled from rows whose equal time stamps a quicksort had shuffled: 16.36, 5.72, 4.10 h with numpy's.


SLICES = [
    Slice("A", "philly", {**OCTOBER, "vc": "103959"}, 20, 565, 44.0, 24.3, 13.8),
    Slice("B", "philly", {**OCTOBER, "vc": "2869ce"}, 64, 170, 94.7, 62.6, 58.5),
    Slice("C", "philly", {**OCTOBER, "vc": "7f04ca"}, 112, 349, 66.9, 59.1, 46.8),
    Slice("D", "philly", {**OCTOBER, "vc": "ee9e8c"}, 160, 537, 52.6, 46.3, 38.1),
    Slice("E", "philly", {**OCTOBER, "vc": "6c71a0"}, 72, 7_846, 12.8, 11.8, 6.8),
    Slice("F", "philly", {**OCTOBER, "vc": "11cb48"}, 16, 6_134, 22.0, 9.1, 3.7),
    Slice("G", "philly", {**HALF_OCTOBER, "sample": 0.1, "sample_seed": 0}, 56, 2_414, 16.3, 5.7, 4.1, 0.015),
    Slice("O", "google-2011", {"parts": 4}, 336, 4_242, 0.39, 0.24, 0.15),
]


#: Pods of the openb log; days of creation.
POD_SLICES = [
    Slice("I", "openb", {"start_day": 135, "end_day": 150}, 24, 2_843, 51.4, 13.8, 3.6),
    Slice("J", "openb", {"start_day": 120, "end_day": 130}, 16, 1_617, 4.7, 2.5, 2.3),
]


@pytest.mark.parametrize("case", SLICES, ids=lambda case: case.name)
def test_slice(case: Slice, traces_dir: Path) -> None:
    workload = TRACES.create(case.trace, clip_gpus=case.gpus, **case.params).load(0)
    assert_figures(case, workload, ClusterSpec((NodeGroup("gpu", case.gpus // 4, 4),)))


@pytest.mark.parametrize("case", POD_SLICES, ids=lambda case: case.name)
def test_slice_of_pods(case: Slice, traces_dir: Path) -> None:
    """As they were measured: run times from creation to deletion, and shares that add up over the whole pool.

    The reader takes the time on a GPU for the run time, and in the simulator a share fits on one GPU.
    """
    pods = pd.read_csv(traces_dir / "alibaba_openb_2023" / "openb_pod_list_default.csv.gz")
    day = pods["creation_time"] / 86_400
    chosen = (pods["num_gpu"] > 0) & pods["scheduled_time"].notna() & (pods["deletion_time"] > pods["scheduled_time"])
    pods = pods[chosen & (day >= case.params["start_day"]) & (day < case.params["end_day"])]
    pods = pods.sort_values("creation_time", kind="stable")
    thousandths = np.minimum(pods["num_gpu"] * pods["gpu_milli"], 1000 * case.gpus)
    created_s = pods["creation_time"] - pods["creation_time"].min()
    workload = Workload.build(created_s, pods["deletion_time"] - pods["creation_time"], thousandths)
    assert_figures(case, workload, ClusterSpec((NodeGroup("gpu", 25 * case.gpus, 40),)))
    read = TRACES.create(case.trace, clip_gpus=case.gpus, **case.params).load(0)
    assert len(read) == len(workload)
    np.testing.assert_array_equal(read.num_gpus * read.gpu_milli, thousandths)


def assert_figures(case: Slice, workload: Workload, cluster: ClusterSpec) -> None:
    assert len(workload) == case.jobs
    for policy, expected_h in (
        ("fifo", case.fifo_h),
        ("fifo_backfill", case.first_fit_h),
        ("sjf_backfill", case.sjf_h),
    ):
        mean_h = simulate(POLICIES.create(policy), workload, cluster, Rules()).jct_s.mean() / 3600
        half_digit = 0.005 if expected_h < 1 else 0.05
        assert abs(mean_h - expected_h) <= case.within * expected_h + half_digit, f"{policy}: {mean_h:.3f} h"
