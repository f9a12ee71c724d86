"""The same environment with SimPy as its event queue: a process per running job, an event per arrival."""

from __future__ import annotations

from collections.abc import Generator

import simpy

from benchmarks.peers.python_env import INF, PythonEnv


class SimpyEnv(PythonEnv):
    """One environment; see ``PythonEnv``."""

    def _begin(self) -> None:
        self.simpy = simpy.Environment()
        # Timeouts from time 0 make the arrival times exact, which a chain of differences would not.
        for submit_s in self.jobs.submit_s:
            self.simpy.timeout(submit_s).callbacks.append(self._arrive)
        self._run_events_until(0.0)

    def _arrive(self, _: simpy.Event) -> None:
        self.waiting.append(self.arrived)
        self.arrived += 1

    def _run(self, job: int, duration_s: float) -> Generator[simpy.Event, None, None]:
        yield self.simpy.timeout(duration_s)
        self._finish(job)

    def _launch(self, job: int, finish: float) -> None:
        kind = self.world.type_of[self.gpus[job][0]]
        self.simpy.process(self._run(job, self.jobs.duration_s[job][kind]))
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
