"""The state of the hybrid view on the server: its process, what makes sense now, what late clients are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rl_sched.dashboard import hybrid_worker
from rl_sched.dashboard.link import Link
from rl_sched.dashboard.schemas import HybridStart
from rl_sched.errors import RlSchedError

IDLE, PREPARING, RUNNING, PAUSED, FINISHED = "idle", "preparing", "running", "paused", "finished"
#: Level of notifications that only the hybrid view shows.
RETRAINING = "retraining"
#: What is kept of lists that grow.
MAX_POINTS, MAX_NOTICES = 600, 40
_LISTS = {"points": MAX_POINTS, "curve": MAX_POINTS, "notices": MAX_NOTICES}


class HybridControl:
    """One per server; its process starts with the first race.

    Args:
        folder: Of trained strategies.
        send: Tells all clients a message.
        notify: Tells them a sentence.
    """

    def __init__(
        self, folder: Path, send: Callable[[dict[str, Any]], None], notify: Callable[[str, str], None]
    ) -> None:
        self._folder, self._send, self._notify = folder, send, notify
        self.state, self.message = IDLE, ""
        self.rate = 0.0
        self._about: dict[str, Any] | None = None
        self._kept: dict[str, Any] = {}
        self.link = Link(hybrid_worker.main, self._on_message)
        self._preparing: asyncio.Task[None] | None = None

    def _on_message(self, message: tuple[Any, ...]) -> None:
        kind = message[0]
        if kind == "note":
            self.message = str(message[1])
            self._tell({})
        elif kind == "ready":
            self._about, self._kept = message[1], {name: [] for name in _LISTS}
            self.state, self.message = RUNNING, ""
            self._send({"type": "simulation_update", "hybrid": self.whole()})
        elif kind == "update" and self._about is not None:
            update = message[1]
            if update["finished"]:
                self.state = FINISHED
            lists = {name: [*self._kept[name], *update[name]][-most:] for name, most in _LISTS.items()}
            self._kept = {**update, **lists}
            for decided, _, text in update["notices"]:
                self._notify(f"Task {decided:,}: {text}", RETRAINING)
            self._tell(update)
        elif kind == "lost":
            self.state, self._about = IDLE, None
            self.message = "The process of the hybrid view has ended unexpectedly. Start it again."
            self._send({"type": "simulation_update", "hybrid": self.whole()})

    def _tell(self, update: dict[str, Any]) -> None:
        self._send({"type": "simulation_update", "hybrid": {**self._head(), "whole": False, **_told(update)}})

    def _head(self) -> dict[str, Any]:
        return {"state": self.state, "message": self.message, "rate": self.rate}

    def whole(self) -> dict[str, Any]:
        """Everything so far."""
        return {**self._head(), "whole": True, "about": self._about, **_told(self._kept)}

    def _need(self, *states: str, what: str) -> None:
        if self.state not in states:
            raise RlSchedError(
                f"To {what} the hybrid race it must be {' or '.join(states)}; it is {self.state}. "
                f"{'Start it first.' if self.state == IDLE else 'Wait, pause, resume or stop it first.'}"
            )

    def start(self, wanted: HybridStart) -> None:
        """Begins; strategies that have to be trained first take minutes, the first time.

        Raises:
            RlSchedError: One runs already.
        """
        self._need(IDLE, PAUSED, FINISHED, what="start")
        self.state, self.message, self.rate = PREPARING, "Loading the strategies.", wanted.rate
        self._about, self._kept = None, {}
        self._send({"type": "simulation_update", "hybrid": self.whole()})
        self._preparing = asyncio.create_task(self._prepare(wanted))

    async def _prepare(self, wanted: HybridStart) -> None:
        try:
            await self.link.ask(
                "start", preset=wanted.preset, seed=wanted.seed, rate=wanted.rate, tasks=wanted.tasks,
                folder=self._folder,
            )  # fmt: skip
        except RlSchedError as error:
            self.state, self.message = IDLE, str(error)
            self._notify(str(error), "error")
            self._send({"type": "simulation_update", "hybrid": self.whole()})

    async def command(self, name: str, **arguments: Any) -> None:
        """``pause``, ``resume``, ``rate`` or ``stop``.

        Raises:
            RlSchedError: It makes no sense now.
        """
        needed = {"pause": (RUNNING,), "resume": (PAUSED,)}.get(name, (RUNNING, PAUSED, FINISHED))
        self._need(*needed, what=name)
        await self.link.ask(name, **arguments)
        self.state = {"pause": PAUSED, "resume": RUNNING, "stop": IDLE}.get(name, self.state)
        self.rate = arguments.get("rate", self.rate)
        if name == "stop":
            self._about, self._kept, self.message = None, {}, ""
        self._send({"type": "simulation_update", "hybrid": self.whole()})

    def close(self) -> None:
        """Ends the process."""
        if self._preparing is not None:
            self._preparing.cancel()
        self.link.close()


def _told(update: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in update.items() if key != "finished"}
