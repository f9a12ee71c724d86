"""Preemptive orders: SRTF, LAS and Tiresias, from Python and inside the kernel.

docs/simulator.md, "Preemptive orders", says what they do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from rl_sched.cluster import ClusterSpec
from rl_sched.errors import ConfigError
from rl_sched.policies.turns import check_turns
from rl_sched.sim.preemptive import LAS, QUANTUM_TOLERANCE, SRTF, TIRESIAS, run_preemptive
from rl_sched.sim.record import State
from rl_sched.sim.rules import Rules
from rl_sched.sim.snapshot import Decision, Preempt, Snapshot, Start, Wait
from rl_sched.sim.watching import Watch
from rl_sched.workload import WHOLE_GPU, Workload


class PreemptiveOrder(ABC):
    """Jobs get GPUs in the order of a key that changes while they run."""

    preemptive: ClassVar[bool] = True
    order: ClassVar[int]

    @property
    @abstractmethod
    def quantum(self) -> float:
        """See ``run_preemptive``."""

    @abstractmethod
    def waiting_keys(self, snapshot: Snapshot) -> np.ndarray:
        """(n,) keys of the waiting jobs, lowest first."""

    @abstractmethod
    def running_keys(self, snapshot: Snapshot) -> np.ndarray:
        """(m,) keys of the running jobs, comparable with those of the waiting ones; equal ones in order of start."""

    def rounded_off(self, snapshot: Snapshot) -> np.ndarray:
        """(m,) what decides between running jobs whose keys are equal only because they have been rounded."""
        return np.zeros(len(snapshot.running.job))

    def until_s(self, snapshot: Snapshot) -> float:
        """When the order may change although nothing happens."""
        return np.inf

    def player(self, workload: Workload, cluster: ClusterSpec, rules: Rules) -> OrderPlayer:
        """What carries the order out during one run."""
        return OrderPlayer(self)

    def walk(self, snapshot: Snapshot) -> list[Decision]:
        """All decisions of this time: who is preempted, and who is to start then if it fits."""
        running = snapshot.running
        quota = snapshot.type_gpus * WHOLE_GPU
        waiting_need = snapshot.num_gpus * snapshot.gpu_milli
        running_need = running.num_gpus * running.gpu_milli
        n = len(snapshot.job)
        lost: list[Decision] = []
        chosen: list[Decision] = []
        keys = np.concatenate([self.waiting_keys(snapshot), self.running_keys(snapshot)])
        rounded_off = np.concatenate([np.zeros(n), self.rounded_off(snapshot)])
        for k in np.lexsort((rounded_off, np.arange(len(keys)) >= n, keys)).tolist():
            if k < n:
                pool = _fastest(snapshot.duration_s[k], quota >= waiting_need[k])
                if pool >= 0:
                    quota[pool] -= waiting_need[k]
                    chosen.append(Start(int(snapshot.job[k]), pool))
                continue
            job = k - n
            if quota[running.pool[job]] >= running_need[job]:
                quota[running.pool[job]] -= running_need[job]
            else:
                lost.append(Preempt(int(running.job[job])))
        return lost + chosen

    def first_that_fits(self, snapshot: Snapshot) -> Decision:
        """The decision without preemption: the waiting job of the lowest key that fits, on its fastest pool."""
        for k in np.argsort(self.waiting_keys(snapshot), kind="stable").tolist():
            pool = _fastest(snapshot.duration_s[k], snapshot.feasible[k])
            if pool >= 0:
                return Start(int(snapshot.job[k]), pool)
        return Wait()


def _fastest(duration_s: np.ndarray, able: np.ndarray) -> int:
    """The pool of the least time among those that are able; -1 if there is none. Both (P,)."""
    able = able & np.isfinite(duration_s)
    return int(np.where(able, duration_s, np.inf).argmin()) if able.any() else -1


class OrderPlayer:
    """Carries out a preemptive order: all decisions of one time follow from one walk through the jobs.

    A walk after each decision would look at keys that the decision itself has changed (restart costs, slower nodes),
    and two jobs could take each other's GPUs for ever.
    """

    def __init__(self, order: PreemptiveOrder) -> None:
        self._order = order
        self._plan: list[Decision] | None = None

    def decide(self, snapshot: Snapshot) -> Decision:
        if not snapshot.preemptive:
            return self._order.first_that_fits(snapshot)
        if self._plan is None:
            self._plan = self._order.walk(snapshot)
        while self._plan:
            decision = self._plan.pop(0)
            if not isinstance(decision, Start) or snapshot.feasible[snapshot.job == decision.job, decision.gpu_type]:
                return decision
        self._plan = None
        return Wait(self._order.until_s(snapshot))

    def can_compile(self, rules: Rules) -> bool:
        """The kernel walks through all jobs, so it knows no window."""
        return rules.preemption and rules.window is None

    def run_compiled(self, state: State, e: int, workload: Workload, watch: Watch | None = None) -> None:
        run_preemptive(state, e, self._order.order, self._order.quantum, watch=watch)


@dataclass(frozen=True)
class ShortestRemainingTime(PreemptiveOrder):
    """SRTF: the job that needs the least time to its end comes first."""

    order: ClassVar[int] = SRTF

    @property
    def quantum(self) -> float:
        return 0.0

    def waiting_keys(self, snapshot: Snapshot) -> np.ndarray:
        return snapshot.duration_s.min(axis=1, initial=np.inf)

    def running_keys(self, snapshot: Snapshot) -> np.ndarray:
        return snapshot.running.end_s - snapshot.now_s


@dataclass(frozen=True)
class LeastAttainedService(PreemptiveOrder):
    """LAS: the job that has run for the shortest time comes first; no run time need be known.

    Raises:
        ConfigError: ``quantum_s`` is negative.
    """

    quantum_s: float = 600.0  #: the order is looked at this often while jobs wait and run; 0 = at events only

    order: ClassVar[int] = LAS

    def __post_init__(self) -> None:
        if not self.quantum_s >= 0:
            raise ConfigError(f"quantum_s must be >= 0; it is {self.quantum_s}.")

    @property
    def quantum(self) -> float:
        return self.quantum_s

    def waiting_keys(self, snapshot: Snapshot) -> np.ndarray:
        return snapshot.attained_s

    def running_keys(self, snapshot: Snapshot) -> np.ndarray:
        return self.rounded_off(snapshot) + snapshot.now_s

    def rounded_off(self, snapshot: Snapshot) -> np.ndarray:
        return snapshot.running.before_s - snapshot.running.segment_s

    def player(self, workload: Workload, cluster: ClusterSpec, rules: Rules) -> OrderPlayer:
        """Raises ``ConfigError`` if turns are too short for restarts."""
        check_turns("quantum_s", self.quantum_s, workload, rules)
        return OrderPlayer(self)

    def until_s(self, snapshot: Snapshot) -> float:
        # Where nothing runs no key changes: asking again would be for ever if what waits can never run.
        turns = self.quantum_s > 0 and snapshot.num_waiting > 0 and snapshot.num_running > 0
        return snapshot.now_s + self.quantum_s if turns else np.inf


@dataclass(frozen=True)
class Tiresias(PreemptiveOrder):
    """Two queues: jobs that have attained less than a quantum of GPU time first, in order of submission in each.

    Discretised 2D-LAS of Gu et al., "Tiresias", NSDI 2019, section 3, with K = 2 and no promotion.

    Raises:
        ConfigError: ``quantum_gpu_s`` is not above 0.
    """

    quantum_gpu_s: float = 3600.0

    order: ClassVar[int] = TIRESIAS

    def __post_init__(self) -> None:
        if not self.quantum_gpu_s > 0:
            raise ConfigError(f"quantum_gpu_s must be > 0; it is {self.quantum_gpu_s}.")

    @property
    def quantum(self) -> float:
        return self.quantum_gpu_s

    def _keys(self, attained_s: np.ndarray, num_gpus: np.ndarray, job: np.ndarray) -> np.ndarray:
        second = attained_s * num_gpus >= self.quantum_gpu_s * (1.0 - QUANTUM_TOLERANCE)
        return second * 2.0**32 + job

    def waiting_keys(self, snapshot: Snapshot) -> np.ndarray:
        return self._keys(snapshot.attained_s, snapshot.num_gpus, snapshot.job)

    def running_keys(self, snapshot: Snapshot) -> np.ndarray:
        r = snapshot.running
        return self._keys(r.attained_s, r.num_gpus, r.job)

    def until_s(self, snapshot: Snapshot) -> float:
        r = snapshot.running
        first = self.running_keys(snapshot) < 2.0**32
        crossing = r.segment_s + (self.quantum_gpu_s / r.num_gpus - r.before_s)
        return float(crossing[first].min(initial=np.inf))
