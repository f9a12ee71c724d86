"""Plays a record to its end with decisions made by a compiled function, one call a decision.

A call into a kernel costs about 2 us, less than a decision over a queue of some length: so only the choice is compiled
for such a rule, and the simulator's own step is used as it is. Nothing is copied out of the record.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rl_sched.errors import SimulationError
from rl_sched.sim import kernels
from rl_sched.sim.record import State
from rl_sched.sim.watching import Watch

#: Returned by ``choose`` in place of a job: the episode is over.
OVER = -2
#: Decisions between two looks at progress; a log is emptied after every decision.
DECISIONS_PER_LOOK = 512


def play_record(choose: Callable[[], tuple[int, int]], state: State, e: int, watch: Watch | None) -> None:
    """Starts what ``choose`` says until it says that the episode is over.

    Args:
        choose: Returns (job, pool), (-1, -1) to wait, or (OVER, -1).
        state: Where.
        e: Record number.
        watch: Beside the run.

    Raises:
        SimulationError: The choice is not feasible, or waiting would last for ever.
    """
    pause = 1 if watch is not None and watch.record else DECISIONS_PER_LOOK
    count = 0
    while True:
        if watch is not None and count % pause == 0:
            watch.look(state, e)
        count += 1
        job, pool = choose()
        if job == OVER:
            break
        action = kernels.START if job >= 0 else kernels.WAIT
        outcome = kernels.step(*state.views, e, action, job, pool, np.inf)
        if outcome != kernels.OK:
            raise SimulationError(
                f"A compiled rule must start what fits and wait only where time can pass; starting job {job} on pool "
                f"{pool} (-1 = waiting) was refused at t = {state.views.head['now'][e]:.6f} s. Mend the rule."
            )
    if watch is not None:
        watch.look(state, e)
