"""What goes on beside a run: kernels play a slice at a time, so that Ctrl-C, progress and the log get a turn."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from rl_sched.errors import SimulationError
from rl_sched.sim.eventlog import OVERFLOWN, LogPart
from rl_sched.sim.record import State

#: Wall-clock time that a slice should take, and the most decisions it may play.
SLICE_S = 0.02
MAX_SLICE = 1 << 16
#: Wall-clock time between two reports of progress.
REPORT_S = 0.25
#: Marks of a compiled loop: not begun, and at the end of the episode. In between they are its own business.
BEGIN, END = -1, -2


class Progress(NamedTuple):
    """How far a run is."""

    done: int  # jobs
    jobs: int
    now_s: float  # simulated time


class Watch:
    """Empties the event log of a record and reports progress.

    Args:
        record: Keep the event log.
        progress: Called a few times a second.
    """

    def __init__(self, *, record: bool = False, progress: Callable[[Progress], None] | None = None) -> None:
        self.record = record
        self._progress = progress
        self._reported_s = time.monotonic()
        self._parts: list[LogPart] = []
        self._gpus = 0

    def look(self, state: State, e: int) -> None:
        """Takes what has been logged, and reports if it is time to.

        Raises:
            SimulationError: More outages happened between two decisions than the log has room for.
        """
        head = state.views.head[e]
        if self.record:
            self._take(state, e, head)
        if self._progress is not None and time.monotonic() - self._reported_s > REPORT_S:
            self._reported_s = time.monotonic()
            self._progress(Progress(int(head["num_done"]), int(head["num_jobs"]), float(head["now"])))

    def _take(self, state: State, e: int, head: np.void) -> None:
        if head["logging"] == OVERFLOWN:
            raise SimulationError(
                f"The event log must hold all events between two decisions; at t = {head['now']:.0f} s there were more "
                f"than {state.views.log.shape[1]}. Use a larger mtbf_s, or do without the log."
            )
        rows = state.views.log[e, : head["log_len"]].copy()
        rows["first"] += self._gpus
        self._parts.append(LogPart(rows, state.views.log_gpus[e, : head["log_gpus_len"]].copy()))
        self._gpus += int(head["log_gpus_len"])
        state.views.head["log_len"][e] = 0
        state.views.head["log_gpus_len"][e] = 0

    def log(self) -> LogPart:
        """All that has been logged."""
        return LogPart(np.concatenate([p.rows for p in self._parts]), np.concatenate([p.gpus for p in self._parts]))


def play_in_slices(
    play: Callable[[int, int], int], state: State, e: int, watch: Watch | None, *, budget: int = 64
) -> None:
    """Calls ``play(mark, budget)`` until it returns ``END``; ``mark`` is what it returned last, ``BEGIN`` at first.

    ``budget`` is that of the first slice; from then on it follows the clock.
    """
    mark = BEGIN
    while mark != END:
        began_s = time.perf_counter()
        mark = play(mark, budget)
        took_s = max(time.perf_counter() - began_s, 1e-6)
        budget = int(min(max(budget * min(SLICE_S / took_s, 2.0), 1), MAX_SLICE))
        if watch is not None:
            watch.look(state, e)
