"""The TRACES table: where workloads come from. Every entry turns a seed into a ``Workload``."""

from __future__ import annotations

from typing import Protocol

from rl_sched.registry import Registry
from rl_sched.workload import Workload

TRACES = Registry(
    "trace",
    {
        # Generators.
        "synthetic": "rl_sched.traces.synthetic:SyntheticTrace",
        "ppo-jobs": "rl_sched.traces.ppo_jobs:PpoJobsTrace",
        "drl-het-jobs": "rl_sched.traces.drl_het_jobs:DrlHetJobs",
        # Logs of real clusters, and files of jobs; these have ``audit()`` as well.
        "csv": "rl_sched.traces.csv_file:CsvTrace",
        "philly": "rl_sched.traces.philly:PhillyTrace",
        "philly-json": "rl_sched.traces.philly_json:PhillyJsonTrace",
        "openb": "rl_sched.traces.openb:OpenbTrace",
        "pai": "rl_sched.traces.pai:PaiTrace",
        "helios": "rl_sched.traces.helios:HeliosTrace",
        "google-2011": "rl_sched.traces.google_2011:Google2011Trace",
        "google-2019": "rl_sched.traces.google_2019:Google2019Trace",
        "gavel": "rl_sched.traces.gavel:GavelTrace",
        "shockwave": "rl_sched.traces.shockwave:ShockwaveTrace",
        "elasticflow": "rl_sched.traces.elasticflow:ElasticFlowTrace",
        "swf": "rl_sched.traces.swf:SwfTrace",
        "drl-het": "rl_sched.traces.drl_het:DrlHetTrace",
    },
)


class Trace(Protocol):
    """What every entry of ``TRACES`` is: a frozen dataclass of parameters that can load a workload."""

    def load(self, seed: int) -> Workload:
        """Returns the workload of this seed; the same seed gives the same bytes. Readers of logs ignore the seed."""
        ...
