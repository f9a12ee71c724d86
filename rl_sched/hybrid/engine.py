"""One strategy at work on one machine and one stream of tasks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rl_sched.errors import SimulationError
from rl_sched.hybrid import kernels
from rl_sched.hybrid.model import Machine
from rl_sched.hybrid.state import COLUMNS, State, new_state
from rl_sched.hybrid.strategy import Notice, Situations, Strategy
from rl_sched.hybrid.tasks import Tasks, TaskSource

#: Tasks that are drawn at a time.
BLOCK = 256


class Load(NamedTuple):
    """What the devices are doing. C CPUs, G GPUs."""

    now_s: float
    cpu_busy: NDArray[np.bool_]  #: (C,)
    gpu_busy: NDArray[np.bool_]  #: (G,) computing, not copying
    gpu_memory_mb: NDArray[np.float64]  #: (G,) reserved
    cpu_wait_s: NDArray[np.float64]  #: (C,) until it is free
    gpu_wait_s: NDArray[np.float64]  #: (G,)


class Engine:
    """A machine that takes tasks from a stream as their time comes.

    Args:
        machine: The hardware.
        stream: Where tasks come from.
        limit: Tasks in all; None = endless.
    """

    def __init__(self, machine: Machine, stream: TaskSource, limit: int | None = None) -> None:
        self.machine = machine
        self._stream = stream
        self._limit = limit
        self._state = new_state(machine.record(), BLOCK)
        self._best = np.zeros(BLOCK)
        self._known = 0  # tasks admitted

    @property
    def decided(self) -> int:
        """Tasks decided so far."""
        return int(self._state.head["decided"][0])

    @property
    def finished(self) -> bool:
        """Whether all tasks of a limited stream have been decided."""
        return self._limit is not None and self.decided >= self._limit

    @property
    def tasks(self) -> np.ndarray:
        """(n,) ``state.TASK``, everything known of the tasks so far; those not decided have fraction -1."""
        return self._state.tasks[: self._known]

    @property
    def devices(self) -> tuple[np.ndarray, np.ndarray]:
        """``state.CPU`` records (C,) and ``state.GPU`` records (G,)."""
        return self._state.cpus, self._state.gpus

    def best(self, tasks: NDArray[np.int64]) -> NDArray[np.float64]:
        """The exact best fraction of tasks at the time they were decided."""
        return self._best[tasks]

    def play(self, strategy: Strategy, n: int) -> tuple[NDArray[np.int64], list[Notice]]:
        """Decides the next ``n`` tasks, or as many as there are.

        Returns:
            The numbers of the tasks in the order in which they were decided, and what the strategy did besides.
        """
        ids = np.empty(n, dtype=np.int64)
        notices: list[Notice] = []
        done = 0
        while done < n:
            situations = self.look(min(n - done, strategy.batch))
            if len(situations) == 0:
                break
            self.carry_out(situations, strategy.decide(situations))
            ids[done : done + len(situations)] = situations.task
            done += len(situations)
            notice = strategy.learn(situations)
            if notice is not None:
                notices.append(notice._replace(decided=self.decided))
        return ids[:done], notices

    def look(self, most: int = 1) -> Situations:
        """The next tasks to be decided: one, or without queues up to ``most``; none when the stream has ended."""
        most = 1 if self.machine.queues else most if self._limit is None else min(most, self._limit - self.decided)
        tasks, values, best = np.empty(most, dtype=np.int64), np.empty((most, len(COLUMNS))), np.empty(most)
        found = 0
        while found < most:
            known = self._known
            rest = slice(found, most)
            if known:
                found += kernels.look(self._state, known == self._limit, tasks[rest], values[rest], best[rest])
            if known == self._limit:
                break
            if found < most:
                self._admit(self._stream.take(BLOCK if self._limit is None else min(BLOCK, self._limit - known)))
        self._best[tasks[:found]] = best[:found]
        return Situations(tasks[:found], values[:found], best[:found])

    def carry_out(self, situations: Situations, fractions: NDArray[np.float64]) -> None:
        """Places the tasks of ``look``.

        Raises:
            SimulationError: The fractions are not as many numbers between 0 and 1.
        """
        fractions = np.asarray(fractions, dtype=np.float64)
        if fractions.shape != (len(situations),) or not ((fractions >= 0.0) & (fractions <= 1.0)).all():
            raise SimulationError(
                f"A strategy must give {len(situations)} fractions between 0 and 1; it gave {fractions!r}."
            )
        kernels.carry_out(self._state, situations.task, fractions)

    def trial(self, task: int, fraction: float) -> tuple[float, float]:
        """Seconds until a task of ``look`` would be done with this fraction, and the score; nothing changes."""
        return kernels.trial(self._state, task, fraction)

    def load(self) -> Load:
        """What the devices are doing at the time of the last decision."""
        s = self._state
        now = float(s.head["now_s"][0])
        cpu_wait, gpu_wait = (np.maximum(0.0, devices["free_s"] - now) for devices in (s.cpus, s.gpus))
        held = (self.tasks["gpu"] >= 0) & (self.tasks["copy_start_s"] <= now) & (now < self.tasks["gpu_end_s"])
        on = self.tasks[held & (self.tasks["fraction"] > 0)]
        memory = np.bincount(on["gpu"], weights=on["gpu_mb"], minlength=len(s.gpus))
        gpu_busy, cpu_busy = np.zeros(len(s.gpus), bool), np.zeros(len(s.cpus), bool)
        gpu_busy[on["gpu"][on["gpu_start_s"] <= now]] = True
        t = self.tasks
        cpu_busy[t["cpu"][(t["cpu"] >= 0) & (t["cpu_start_s"] <= now) & (now < t["cpu_end_s"])]] = True
        return Load(now, cpu_busy, gpu_busy, memory, cpu_wait, gpu_wait)

    def _admit(self, new: Tasks) -> None:
        known, until = self._known, self._known + len(new)
        if until > len(self._state.tasks):
            self._grow(2 * until)
        rows = self._state.tasks[known:until]
        for name in ("size", "intensity", "memory_mb", "arrival_s", "duration_s"):
            rows[name] = getattr(new, name)
        self._state.parents[known:until] = new.parents
        kernels.admit(self._state, until)
        self._known = until

    def _grow(self, capacity: int) -> None:
        s, kept = self._state, len(self._state.tasks)
        larger = new_state(s.machine, capacity)
        for name in ("tasks", "parents", "edges", "heap"):
            getattr(larger, name)[:kept] = getattr(s, name)
        self._state = State(s.machine, s.head, larger.tasks, larger.parents, larger.edges, larger.heap, s.cpus, s.gpus)
        self._best = np.concatenate([self._best, np.zeros(capacity - len(self._best))])
