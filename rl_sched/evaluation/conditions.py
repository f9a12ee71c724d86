"""What policies were not made for: other loads, wrong estimates, a larger cluster, failures, other traces.

A condition is a scenario under its own name. Under all conditions of the home scenario the jobs are the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from rl_sched.cluster import ClusterSpec, NodeGroup
from rl_sched.errors import ConfigError

if TYPE_CHECKING:
    from rl_sched.scenarios.base import Scenario
    from rl_sched.workload import Workload

#: Families, in the order of a figure's panels.
LOAD, NOISE, ELSEWHERE = "load", "noise", "elsewhere"
LOADS = (0.5, 1.5)
NOISES = (0.2, 1.0)
CLUSTER_FACTOR = 2
#: Failures of every node in the time in which jobs arrive, and the parts of it that a repair takes and progress is
#: saved after.
FAILURES = 2.0
REPAIR_FRAC, CHECKPOINT_FRAC = 0.05, 0.02


class Condition(NamedTuple):
    """A scenario that differs from the home scenario in one thing."""

    name: str
    family: str
    level: float | None  #: where the family is a scale
    scenario: Scenario
    at_home: bool  #: the same jobs as in the home scenario


@dataclass(frozen=True)
class _Faster:
    """The workloads of a scenario with other arrival times; can be pickled."""

    make: Callable[[int], Workload]
    factor: float

    def __call__(self, seed: int) -> Workload:
        return self.make(seed).scale_load(self.factor)


def conditions(home: Scenario, others: Sequence[Scenario] = ()) -> tuple[list[Condition], list[str]]:
    """All conditions, the home scenario first, and a sentence for each that its rules do not allow.

    Args:
        home: What the policies were made for.
        others: Other traces to test them on.
    """
    found = [Condition("home", ELSEWHERE, None, replace(home, name="home"), True)]
    notes: list[str] = []

    def add(name: str, family: str, level: float | None, make: Callable[[], Scenario], at_home: bool = True) -> None:
        try:
            found.append(Condition(name, family, level, replace(make(), name=name), at_home))
        except ConfigError as error:
            notes.append(f"{name} is left out: {error}")

    for load in LOADS:
        add(f"load {100 * (load - 1):+.0f} %", LOAD, load, partial(_at_load, home, load))
    for noise in NOISES:
        add(f"estimates {100 * noise:.0f} % off", NOISE, noise, partial(_under, home, estimate_noise=noise))
    add(f"cluster x{CLUSTER_FACTOR} at the same load", ELSEWHERE, None, partial(_larger, home))
    add("node failures", ELSEWHERE, None, partial(_failing, home))
    for other in others:
        add(other.name, ELSEWHERE, None, partial(replace, other), False)
    return found, notes


def _at_load(home: Scenario, factor: float) -> Scenario:
    return replace(home, make=_Faster(home.make, factor))


def _under(home: Scenario, **rules: Any) -> Scenario:
    return replace(home, rules=replace(home.rules, **rules))


def _larger(home: Scenario) -> Scenario:
    """Twice the nodes, and jobs that arrive twice as fast: the load stays."""
    groups = tuple(NodeGroup(g.gpu_type, CLUSTER_FACTOR * g.nodes, g.gpus, g.vc) for g in home.cluster.groups)
    cluster = ClusterSpec(groups, home.cluster.types)
    return replace(home, cluster=cluster, make=_Faster(home.make, CLUSTER_FACTOR))


def _failing(home: Scenario) -> Scenario:
    """Every node fails about ``FAILURES`` times while jobs arrive; running jobs lose what they have not saved."""
    submit_s = home.workload(int(home.seeds.val[0])).submit_s
    span_s = float(submit_s[-1] - submit_s[0])
    times = {"mtbf_s": span_s / FAILURES, "mttr_s": REPAIR_FRAC * span_s}
    times["checkpoint_interval_s"] = CHECKPOINT_FRAC * span_s
    return _under(home, **{name: float(f"{value:.3g}") for name, value in times.items()})
