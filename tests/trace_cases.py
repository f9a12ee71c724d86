"""A small file for every reader of logs: parameters that load it, and the files that a broken copy may differ in."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

FIXTURES = Path(__file__).parent / "fixtures"


class Case(NamedTuple):
    """One way to use a reader."""

    trace: str  # a name of TRACES
    files: dict[str, str]  # parameter -> file or folder, relative to the fixtures
    params: dict[str, object] = {}

    @property
    def name(self) -> str:
        """A name for reports."""
        return f"{self.trace}:{next(iter(self.files.values()))}"

    def where(self, folder: Path = FIXTURES) -> dict[str, object]:
        """All parameters, for a copy of the fixtures in this folder."""
        return {**self.params, **{parameter: str(folder / file) for parameter, file in self.files.items()}}


#: The first case of a reader is the one of its conformance tests.
CASES = (
    Case("csv", {"path": "jobs_small.csv", "throughputs": "jobs_small_speeds.csv"}),
    Case("csv", {"path": "jobs_full.csv"}),
    Case("philly", {"path": "philly_small.csv"}),
    Case("philly-json", {"path": "philly_jobs_small.json"}),
    Case("openb", {"path": "openb_small.csv"}),
    Case("openb", {"path": "openb_packing_small.csv"}),
    Case("pai", {"path": "pai_small"}),
    Case("helios", {"path": "helios_small.csv"}),
    Case("helios", {"path": "helios_seconds_small.csv"}),
    Case("google-2011", {"path": "google_2011_small"}),
    Case("google-2019", {"path": "google_2019_small"}),
    Case("google-2019", {"path": "google_2019_csv_small"}),
    Case("gavel", {"path": "gavel_msr_small.trace", "throughputs": "gavel_throughputs_small.json"}),
    Case("gavel", {"path": "gavel_physical_small.trace", "throughputs": "gavel_throughputs_small.json"}),
    Case("shockwave", {"path": "shockwave_small.trace"}),
    Case("elasticflow", {"path": "elasticflow_small.csv"}),
    Case("elasticflow", {"path": "elasticflow_wide_small.csv", "throughputs": "elasticflow_curves"}),
    Case("swf", {"path": "swf_small.txt"}),
    Case("drl-het", {"path": "drl_het_small.csv"}),
)


def conformance_params(trace: str) -> dict[str, object]:
    """Parameters for the conformance tests of a registered trace; none for a generator."""
    return next((case.where() for case in CASES if case.trace == trace), {})
