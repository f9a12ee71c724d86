"""What a scenario is."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from rl_sched.cluster import ClusterSpec
from rl_sched.errors import ConfigError
from rl_sched.sim.rules import Rules
from rl_sched.workload import Workload


class SeedRanges(NamedTuple):
    """Disjoint workload seeds: TRAIN to learn, VAL to choose, REPORT for the final number."""

    train: range
    val: range
    report: range

    def of(self, split: str) -> range:
        """The range named ``train``, ``val`` or ``report``."""
        if split not in self._fields:
            raise ConfigError(f"split must be one of {', '.join(self._fields)}; it is {split!r}.")
        return getattr(self, split)


#: Suffix of a rule with the parameters that were fitted to a scenario.
TUNED = "_tuned"

#: Reward of a scenario -> the same up to a constant of the workload, but paid closer to the decision: pays a learner.
PAID_SOONER = {"jct": "lost", "ppo-jobs": "ppo-jobs-shaped"}

#: Used by scenarios with generated workloads.
DEFAULT_SEEDS = SeedRanges(
    train=range(1_000_000, 1_004_096), val=range(2_000_000, 2_001_024), report=range(12_000_000, 12_001_024)
)


@dataclass(frozen=True)
class Scenario:
    """A scheduling problem: every seed gives one workload of ``num_jobs`` jobs.

    Attributes:
        name: Its name in SCENARIOS.
        cluster: The hardware.
        rules: The rules; ``rules.window`` is the window W of learned policies.
        num_jobs: Jobs of every workload.
        make: ``seed -> Workload``, deterministic.
        splits: The disjoint seed ranges, or what finds them out: the first time that ``seeds`` is asked for.
        time_scale_s: A typical duration; times are shown to learners relative to it.
        lookahead_s: The remaining time at which the lookahead saturates.
        reward: The reward that belongs to the scenario's objective.
        objective: The metric that decides, and that policies are selected by.
        maximize: Whether a larger objective is better.
        tuned: Rule -> parameters that ``python -m rl_sched.tune_rule`` fitted; tables show it as ``RULE_tuned``.
        missing: None, or one sentence that says why the scenario cannot run here.
    """

    name: str
    cluster: ClusterSpec
    rules: Rules
    num_jobs: int
    make: Callable[[int], Workload]
    splits: SeedRanges | Callable[[], SeedRanges]
    time_scale_s: float
    lookahead_s: float
    reward: str = "jct"
    objective: str = "mean_jct_s"
    maximize: bool = False
    tuned: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    missing: str | None = None

    @functools.cached_property
    def seeds(self) -> SeedRanges:
        """The disjoint seed ranges; those of a log's slices are known once it has been read."""
        return self.splits if isinstance(self.splits, SeedRanges) else self.splits()

    def rule(self, name: str) -> tuple[str, Mapping[str, float]]:
        """A rule's registered name and its parameters; ``NAME_tuned`` is rule NAME fitted to this scenario.

        Where no parameters are better than the defaults, these are the fitted ones.
        """
        base = name.removesuffix(TUNED)
        return base, self.tuned.get(base, {}) if name != base else {}

    @property
    def training_reward(self) -> str:
        """What pays a learner unless it is told otherwise: ``reward``, or the same objective paid sooner.

        Both of ``PAID_SOONER`` hold where every job runs once, without interruption.
        """
        rules = self.rules
        once = not (rules.preemption or rules.mtbf_s or rules.outages)
        return PAID_SOONER.get(self.reward, self.reward) if once else self.reward

    @property
    def window(self) -> int:
        """W, the number of job slots that a learner sees."""
        return min(self.rules.window or self.num_jobs, self.num_jobs)

    def available(self) -> str | None:
        """None if the scenario can run, else why not."""
        return self.missing

    def workload(self, seed: int) -> Workload:
        """The workload of one seed.

        Raises:
            ConfigError: The scenario's data are not on this machine.
        """
        if self.missing:
            raise ConfigError(self.missing)
        return self.make(seed)

    def trace_hash(self) -> str:
        """16 hex digits of the first TRAIN workload: they change with the log or the generator behind the scenario.

        Raises:
            ConfigError: The scenario's data are not on this machine.
        """
        return self.workload(self.seeds.train[0]).content_hash()
