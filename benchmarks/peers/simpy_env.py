"""The same environment as a SimPy model: a process per job, a source of arrivals, a container of GPUs per type."""

from __future__ import annotations

from collections.abc import Generator

import simpy

from benchmarks.peers.python_env import INF, PythonEnv

Process = Generator[simpy.Event, None, None]


class SimpyEnv(PythonEnv):
    """One environment; see ``PythonEnv``."""

    def _begin(self) -> None:
        self.simpy = simpy.Environment()
        self.pools = [simpy.Container(self.simpy, len(gpus), init=len(gpus)) for gpus in self.gpus_of]
        self.simpy.process(self._arrivals())
        self._run_events_until(0.0)

    def _arrivals(self) -> Process:
        for row, submit_s in enumerate(self.jobs.submit_s):
            yield self.simpy.timeout(submit_s - self.simpy.now)
            self.waiting.append(row)
            self.arrived += 1

    def _run(self, job: int, kind: int) -> Process:
        gang = self.jobs.gang[job]
        yield self.pools[kind].get(gang)
        yield self.simpy.timeout(self.jobs.duration_s[job][kind])
        yield self.pools[kind].put(gang)
        self._finish(job)

    def _launch(self, job: int, finish: float) -> None:
        self.simpy.process(self._run(job, self.world.type_of[self.gpus[job][0]]))
        self._run_events_until(self.now)  # lets the process reach its timeout

    def _run_events_until(self, time: float) -> None:
        while self.simpy.peek() <= time:
            self.simpy.step()

    def _advance(self) -> bool:
        time = self.simpy.peek()
        if time == INF:
            return False
        self._move_clock(time)
        self._run_events_until(time)
        return True

    def _next_completion(self) -> float:
        return min(end for end in self.end_s if end is not None)
