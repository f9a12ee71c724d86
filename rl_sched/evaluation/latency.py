"""How long a policy takes for its decisions: wall-clock time, of decisions made in Python."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rl_sched.sim.snapshot import Decision, Snapshot

if TYPE_CHECKING:
    from rl_sched.rl.learned_policy import LearnedPolicy
    from rl_sched.scenarios.base import Scenario
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
        return _percentiles(self._seconds)


def _percentiles(seconds: Sequence[float] | np.ndarray) -> dict[str, float]:
    p50, p99 = np.percentile(seconds, [50, 99]) if len(seconds) else (float("nan"),) * 2
    return {"p50_decision_latency_s": float(p50), "p99_decision_latency_s": float(p99)}


def of_rule(rule: Any, scenario: Scenario, seed: int) -> dict[str, float]:
    """Latencies of a rule over one run, asked one decision at a time; for a planner those of its player."""
    from rl_sched.sim.simulator import player_of, simulate  # compiles kernels: only when something is run

    workload = scenario.workload(seed)
    timed = Timed(player_of(rule, workload, scenario.cluster, scenario.rules))
    simulate(timed, workload, scenario.cluster, scenario.rules)
    return timed.metrics()


def of_learned(policy: LearnedPolicy, scenario: Scenario, seed: int) -> dict[str, float]:
    """Latencies of a learned policy over one run: from one call of its network to the next, one decision at a time.

    That is features, network and choice, and the simulator's step, which takes a microsecond: an upper bound.
    """
    began_s: list[float] = []
    hook = policy.network.register_forward_pre_hook(lambda *_: began_s.append(time.perf_counter()))
    try:
        policy.play_episodes(scenario, [seed])
    finally:
        hook.remove()
    return _percentiles(np.diff(began_s))
