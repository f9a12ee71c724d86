"""Slices of Gavel's traces, with measured speeds on three GPU types."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rl_sched.cluster import ClusterSpec
from rl_sched.errors import TraceError
from rl_sched.scenarios.base import Scenario
from rl_sched.scenarios.slices import Periods, sliced
from rl_sched.traces import TRACES
from rl_sched.traces.throughputs import find_throughputs
from rl_sched.workload import Workload

#: One virtual cluster each. Those of other seeds have the same arrivals and gangs, so they are left out.
LOGS = (
    "msr_seed0_6c71a0.trace.gz", "msr_seed0_ee9e8c.trace.gz", "msr_seed0_ed69ec.trace.gz", "msr_seed0_e13805.trace",
    "msr_seed0_2869ce.trace",
)  # fmt: skip
NUM_JOBS = 100
SHARE = 0.25  # of each log's jobs, for VAL and for REPORT


def gavel() -> Scenario:
    """100 consecutive jobs of five virtual clusters on 8 v100, 8 p100 and 8 k80.

    Of every log the first half is for TRAIN, the third quarter for VAL and the last for REPORT; the parts of a split
    are laid end to end.
    """
    first = TRACES.create("gavel")
    traces = [first]
    missing = first.available()
    if missing is None:
        folder = Path(first.file()).parent
        traces = [TRACES.create("gavel", path=str(folder / log)) for log in LOGS]
        missing = next((why for trace in traces if (why := trace.available())), None) or _no_throughputs()

    def periods() -> Periods:
        logs = [trace.load() for trace in traces]
        parts = [Periods.last(jobs, *(int(SHARE * len(jobs)),) * 2) for jobs in logs]
        return Periods(*(end_to_end(split) for split in zip(*parts, strict=True)))

    return sliced(
        "gavel",
        ClusterSpec.of(v100=8, p100=8, k80=8),
        periods,
        missing,
        num_jobs=NUM_JOBS,
        load=1.0,
        window=50,
        time_scale_s=20_000.0,
        lookahead_s=200_000.0,
        # python -m rl_sched.tune_rule --policy min_min --scenario gavel --candidates 150
        # python -m rl_sched.tune_rule --policy index --scenario gavel --candidates 150
        # python -m rl_sched.tune_rule --policy local_search --scenario gavel --candidates 48 --episodes 64
        tuned={
            "min_min": {"alpha": 1.56, "theta": 0.758, "depth": 4},
            "index": {"duration": 1.31, "gang": -0.169, "area": -0.878, "waiting": -2.32, "speed": 2.18},
            "local_search": {"alpha": 1.28, "theta": 0.722},
        },
    )


def _no_throughputs() -> str | None:
    try:
        find_throughputs("")
    except TraceError as error:
        return str(error)
    return None


def end_to_end(logs: Sequence[Workload]) -> Workload:
    """The jobs of several logs, each beginning when the one before ends; their classes are kept apart."""
    begin_s = np.cumsum([0.0, *(jobs.submit_s[-1] for jobs in logs[:-1])])
    first_class = np.cumsum([0, *(len(jobs.speed) for jobs in logs[:-1])])  # type: ignore[arg-type]
    return Workload.build(
        np.concatenate([jobs.submit_s + at for jobs, at in zip(logs, begin_s, strict=True)]),
        np.concatenate([jobs.duration_s for jobs in logs]),
        np.concatenate([jobs.num_gpus for jobs in logs]),
        job_class=np.concatenate([jobs.job_class + at for jobs, at in zip(logs, first_class, strict=True)]),
        speed=np.concatenate([jobs.speed for jobs in logs]),
        gpu_types=logs[0].gpu_types,
        source=", ".join(jobs.source for jobs in logs),
    )
