"""Gavel's scheduling policies: an allocation objective each, played in rounds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rl_sched.cluster import ClusterSpec
from rl_sched.errors import ConfigError
from rl_sched.policies.gavel import allocation
from rl_sched.policies.gavel.player import Manner, RoundPlayer
from rl_sched.policies.gavel.shares import Claims
from rl_sched.policies.gavel.solver import Choice
from rl_sched.policies.turns import check_turns
from rl_sched.registry import did_you_mean
from rl_sched.sim.rules import Rules
from rl_sched.workload import Workload


@dataclass(frozen=True)
class SharedInRounds(ABC):
    """Jobs take turns so that each gets its share of the time on each pool.

    Shares are made at a *reset*: when jobs have come or gone, or GPUs in service have changed, and ``min_reset_s`` have
    passed since the last one or nothing runs; in each virtual cluster by itself. In a *round* those jobs run that are
    furthest behind their shares (``rounds.pick_round``); a job that stays on its pool runs on without a break. With
    preemption, rounds begin where those of the rules do, or where these have none every ``round_s`` seconds; between
    them, and without preemption, what is idle goes to waiting jobs by the same order, and no running job is disturbed.

    Attributes:
        min_reset_s: Time between two resets at least. A job that comes in between has no share yet and does not run
            before the next one.
        round_s: Length of the rounds where the rules have none.

    Raises:
        ConfigError: A time is out of its range, or a name is unknown.
    """

    min_reset_s: float = 1920.0
    round_s: float = 360.0

    preemptive: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.min_reset_s >= 0:
            raise ConfigError(f"min_reset_s must be >= 0; it is {self.min_reset_s}.")
        if not 0 < self.round_s < np.inf:
            raise ConfigError(f"round_s must be a finite time > 0; it is {self.round_s}.")

    @abstractmethod
    def share(self, claims: Claims) -> np.ndarray:
        """(k, T) fraction of its time that each job shall run on each pool."""

    def player(self, workload: Workload, cluster: ClusterSpec, rules: Rules) -> RoundPlayer:
        """What decides during one run. Raises ``ConfigError`` if rounds are too short for restarts."""
        check_turns("round_s", self.round_s, workload, rules)
        return RoundPlayer(self.share, self._manner(), workload, cluster, rules)

    def _manner(self) -> Manner:
        return Manner(self.min_reset_s, self.round_s, fill=False, backfill=False, weighted=False)


@dataclass(frozen=True)
class LinearProgram(SharedInRounds):
    """Shares that are the optimum of a linear program. Jobs may also run where they have no share, if GPUs are left.

    Attributes:
        choice: Which optimum: a name of ``gavel.solver.Choice``.
        backfill: A job that has no share yet may take what is left over, too. Not so in the published program: there it
            waits for the next reset.
    """

    choice: str = Choice.CENTRE.value
    backfill: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        known = [choice.value for choice in Choice]
        if self.choice not in known:
            raise ConfigError(f"Unknown choice {self.choice!r}. {did_you_mean(self.choice, known)}")

    def _manner(self) -> Manner:
        return super()._manner()._replace(fill=True, backfill=self.backfill)


@dataclass(frozen=True)
class MaxMinFairness(LinearProgram):
    """Least attained service across GPU types: the worst-off job gets as much as possible.

    Attributes:
        weighted: A job's priority, which must be above 0, is the weight of its share.
    """

    weighted: bool = False

    def share(self, claims: Claims) -> np.ndarray:
        return allocation.max_min_fairness(claims.active, claims.solver, Choice(self.choice)).time_frac

    def _manner(self) -> Manner:
        return super()._manner()._replace(weighted=self.weighted)


@dataclass(frozen=True)
class FinishTimeFairness(LinearProgram):
    """The largest ratio of a job's finish time to the one on 1/n of the cluster is least; as in Themis."""

    def share(self, claims: Claims) -> np.ndarray:
        return allocation.finish_time_fairness(
            claims.active, claims.work_left, claims.elapsed_s, claims.isolated_s, claims.solver, Choice(self.choice)
        ).time_frac


@dataclass(frozen=True)
class MinMakespan(LinearProgram):
    """The last job ends as early as possible."""

    def share(self, claims: Claims) -> np.ndarray:
        return allocation.min_makespan(claims.active, claims.work_left, claims.solver, Choice(self.choice)).time_frac


@dataclass(frozen=True)
class GavelFifo(SharedInRounds):
    """First come, first served across GPU types, made anew at every reset (``FIFO_Perf`` of Gavel).

    Jobs are walked through in order of arrival; each gets the pool on which it runs fastest among those with enough
    GPUs left, and is passed by if it cannot run on any of these. The first job for whose gang no pool has enough GPUs
    left blocks all behind it. Nobody else runs, so that GPUs may be idle until the next reset.
    """

    def share(self, claims: Claims) -> np.ndarray:
        active = claims.active
        left = active.gpus.copy()
        share = np.zeros(active.throughput.shape)
        stays = np.flatnonzero(claims.stays_on >= 0)
        np.subtract.at(left, claims.stays_on[stays], active.gang[stays])
        share[stays, claims.stays_on[stays]] = 1.0
        for row in np.flatnonzero(claims.stays_on < 0).tolist():
            enough = left >= active.gang[row]
            if not enough.any():
                break
            pool = int(np.where(enough, active.throughput[row], 0.0).argmax())
            if active.throughput[row, pool] > 0 and enough[pool]:
                left[pool] -= active.gang[row]
                share[row, pool] = 1.0
        return share
