"""What a race is asked to be, and the limits of it. Light: the web server needs nothing more."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

#: More cannot be followed on a screen, and every update looks at all jobs.
MAX_JOBS = 20_000
MAX_GPUS = 4096
MAX_POLICIES = 6
#: Groups of nodes in a cluster that may be typed.
MAX_GROUPS = 8
#: Jobs of a generator arrive at this part of the cluster's capacity unless it is said otherwise.
DEFAULT_LOAD = 0.85
#: Lends its cluster, rules and time scale to jobs that are not a scenario's.
BASE_SCENARIO = "default"
#: Before ids of workloads and policies.
SCENARIO, TRACE, RULE, CHECKPOINT = "scenario:", "trace:", "rule:", "checkpoint:"


@dataclass(frozen=True, slots=True)
class Entrant:
    """One policy of a race."""

    id: str  # as listed, ``rule:NAME`` or ``checkpoint:HASH``
    name: str  # for readers; decides the colour
    checkpoint: Path | None = None


@dataclass(frozen=True, slots=True)
class Setup:
    """One race."""

    workload: str  # ``scenario:NAME`` or ``trace:NAME``, as listed
    entrants: tuple[Entrant, ...]
    seed: int = 0  # of a generator; of a scenario, the number of the VAL workload
    jobs: int | None = None  # of a generator
    load: float | None = None  # of a generator: offered load as a fraction of the capacity
    cluster: str | None = None  # TYPE:NODESxGPUS[,...]; None = the scenario's own
