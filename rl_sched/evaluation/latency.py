"""How long a policy takes for its decisions: wall-clock time, of decisions made in Python."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from rl_sched.sim.snapshot import Decision, Snapshot

if TYPE_CHECKING:
    from rl_sched.sim.simulator import Policy


class Timed:
    """A policy with a watch; it is always asked one decision at a time.

    Args:
        policy: What decides (of a planner, its player).
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._seconds: list[float] = []

    def decide(self, snapshot: Snapshot) -> Decision:
        """What the policy decides."""
        began_s = time.perf_counter()
        decision = self._policy.decide(snapshot)
        self._seconds.append(time.perf_counter() - began_s)
        return decision

    def metrics(self) -> dict[str, float]:
        """``p50_decision_latency_s`` and ``p99_decision_latency_s``; nan if nothing was decided."""
        p50, p99 = np.percentile(self._seconds, [50, 99]) if self._seconds else (float("nan"),) * 2
        return {"p50_decision_latency_s": float(p50), "p99_decision_latency_s": float(p99)}
