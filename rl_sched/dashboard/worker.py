"""The simulation's process: plays the race, answers requests, sends updates. Nothing that a client does slows it down.

Messages on the pipe, both ways, are tuples. To here: ``(number, name, arguments)``. From here: ``("reply", number, ok,
value)`` to each of them, and ``("update", value)``, ``("race", value)`` after a start or a reset, ``("results", rows)``
at the end of a race.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from rl_sched.dashboard.child import follow_parent
from rl_sched.errors import RlSchedError

#: Time between two updates, s.
FRAME_S = 0.045
#: An idle or paused race looks after its pipe this often, s.
IDLE_S = 0.5
#: Messages that may wait for a busy server; updates beyond them are left out and told with the next one.
BACKLOG = 3


def main(pipe: Connection) -> None:
    """Serves until the other end of the pipe is closed."""
    follow_parent()
    Worker(pipe).serve()


class Worker:
    """Holds at most one race.

    Args:
        pipe: To the server.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._race: Any = None  # Race; made in this process only, where numba may take its time
        self._outbox: queue.Queue[tuple[Any, ...]] = queue.Queue()
        self._commands: dict[str, Callable[..., Any]] = {
            "start": self._start, "stop": self._stop, "pause": self._pause, "resume": self._resume,
            "reset": self._reset, "step": self._step, "speed": self._speed, "explain": self._explain,
            "record": self._record,
        }  # fmt: skip
        self._told_end = False

    def serve(self) -> None:
        """See ``main``."""
        threading.Thread(target=self._send, daemon=True).start()
        due = time.monotonic()
        while True:
            race = self._race
            running = race is not None and race.state == "running"
            wait_s = 0.0 if running else IDLE_S
            try:
                while self._pipe.poll(wait_s):
                    self._answer(*self._pipe.recv())
                    wait_s = 0.0
            except (EOFError, OSError):
                return
            race = self._race
            if race is None or race.state != "running":
                due = time.monotonic()
                continue
            ahead = race.move(due)
            now = time.monotonic()
            if now >= due or race.state != "running":
                due = max(due + FRAME_S, now)
                self._update()
            elif ahead:
                time.sleep(min(due - now, 0.01))

    def _send(self) -> None:
        """The only writer of the pipe, so that a server that does not read holds nothing else up."""
        while True:
            message = self._outbox.get()
            try:
                self._pipe.send(message)
            except OSError:
                return

    def _answer(self, number: int, name: str, arguments: dict[str, Any]) -> None:
        try:
            value = self._commands[name](**arguments)
        except RlSchedError as error:
            self._outbox.put(("reply", number, False, str(error)))
            return
        self._outbox.put(("reply", number, True, value))

    def _update(self, *, must: bool = False) -> None:
        race = self._race
        over = race.state == "finished" and not self._told_end
        if must or over or self._outbox.qsize() < BACKLOG:
            self._outbox.put(("update", race.update()))
        if over:
            self._told_end = True
            self._outbox.put(("results", race.results()))

    def _start(self, setup: Any, speed: float, paused: bool) -> None:
        from rl_sched.dashboard.race import Race

        race = Race(setup, speed)
        self._race = race
        self._begin()
        if not paused:
            race.resume()

    def _begin(self) -> None:
        self._told_end = False
        self._outbox.put(("race", self._race.describe()))
        self._update(must=True)

    def _stop(self) -> None:
        self._race = None

    def _pause(self) -> None:
        self._race.pause()
        self._update(must=True)

    def _resume(self) -> None:
        self._race.resume()
        self._update(must=True)

    def _reset(self) -> None:
        self._race.reset()
        self._begin()

    def _step(self, decisions: int) -> None:
        self._race.step(decisions)
        self._update(must=True)

    def _speed(self, speed: float) -> None:
        self._race.set_speed(speed)
        self._update(must=True)

    def _explain(self, lane: str, index: int) -> dict[str, Any]:
        return self._race.explain(lane, index)

    def _record(self) -> Any:
        return self._race.setup, self._race.record()
