"""The TRACES table: where workloads come from. Every entry turns a seed into a ``Workload``."""

from __future__ import annotations

from typing import Protocol

from rl_sched.registry import Registry
from rl_sched.workload import Workload

TRACES = Registry(
    "trace",
    {
        "synthetic": "rl_sched.traces.synthetic:SyntheticTrace",
        "ppo-jobs": "rl_sched.traces.ppo_jobs:PpoJobsTrace",
        "philly": "rl_sched.traces.philly:PhillyTrace",
        "csv": "rl_sched.traces.csv_file:CsvTrace",
    },
)


class Trace(Protocol):
    """What every entry of ``TRACES`` is: a frozen dataclass of parameters that can load a workload."""

    def load(self, seed: int) -> Workload:
        """Returns the workload of this seed; the same seed gives the same bytes. Readers of logs ignore the seed."""
        ...
