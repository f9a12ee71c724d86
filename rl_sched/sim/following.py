"""Carries recorded decisions out again, without asking a policy: microseconds a decision."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from rl_sched.errors import SimulationError
from rl_sched.sim import kernels
from rl_sched.sim.record import State
from rl_sched.sim.snapshot import Decision, Preempt, Start
from rl_sched.sim.watching import Watch


def follow(state: State, e: int, decisions: Iterable[Decision], watch: Watch | None = None) -> None:
    """Takes record ``e``, which is at its first decision, along ``decisions``.

    Args:
        state: Where.
        e: Record number.
        decisions: As ``Simulator.step`` was given them.
        watch: Keeps the event log.

    Raises:
        SimulationError: They were made in another world.
    """
    views = state.views
    for decision in decisions:
        if isinstance(decision, Start):
            done = kernels.step(*views, e, kernels.START, decision.job, decision.gpu_type, np.inf)
        elif isinstance(decision, Preempt):
            done = kernels.step(*views, e, kernels.PREEMPT, decision.job, -1, np.inf)
        else:
            done = kernels.step(*views, e, kernels.WAIT, -1, -1, float(decision.until_s))
        if done != kernels.OK:
            raise SimulationError(
                f"Recorded decisions can be carried out only in the world in which they were made; {decision} is not "
                "possible here. Use the same jobs, cluster and rules."
            )
        if watch is not None:
            watch.look(state, e)
