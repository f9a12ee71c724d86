"""The state of the dashboard: which race there is, what commands make sense now, and who is told."""

from __future__ import annotations

import asyncio
import datetime
import itertools
import multiprocessing
import time
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from typing import Any

from rl_sched.dashboard import reader, worker
from rl_sched.dashboard.board import Board
from rl_sched.dashboard.catalogue import Catalogue, Places
from rl_sched.dashboard.choices import Entrant, Setup
from rl_sched.dashboard.history import History
from rl_sched.dashboard.hub import Hub
from rl_sched.dashboard.hybrid_control import HybridControl
from rl_sched.dashboard.link import Link
from rl_sched.dashboard.schemas import Start
from rl_sched.errors import ConfigError, RlSchedError

IDLE, STARTING, RUNNING, PAUSED, FINISHED = "idle", "starting", "running", "paused", "finished"


class NotNow(RlSchedError):
    """A command makes no sense in the present state."""


class Control:
    """One per server; all methods run in its event loop.

    Args:
        places: Folders that may be looked at.
    """

    def __init__(self, places: Places) -> None:
        self.places = places
        self._pool = _new_pool()
        self.began_s = time.monotonic()
        self.state = IDLE
        self.message: str | None = None
        self.history = History(places.data / "dashboard" / "history.jsonl")
        self.board = Board()
        self.hub = Hub(self.whole)
        self.link = Link(worker.main, self._on_message)
        self.hybrid = HybridControl(places.checkpoints / "hybrid", self.hub.send, self.notify)
        self._sequence = itertools.count(1)
        self._race_id = ""
        self._command = asyncio.Lock()
        self._catalogue: asyncio.Task[Catalogue] | None = None
        self._workloads: dict[str, dict[str, Any]] = {}

    async def read(self, function: Any, *arguments: Any) -> Any:
        """Calls a function in the reader's process; one that has died is replaced."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool, function, *arguments)
        except BrokenExecutor:
            self._pool = _new_pool()
            return await loop.run_in_executor(self._pool, function, *arguments)

    async def catalogue(self, *, fresh: bool = False) -> Catalogue:
        """What can be chosen; looked up once, and again when asked for."""
        done = self._catalogue is not None and self._catalogue.done()
        if self._catalogue is None or (done and (fresh or self._catalogue.exception() is not None)):
            self._catalogue = asyncio.create_task(self.read(reader.read_catalogue, self.places))
        return await asyncio.shield(self._catalogue)

    # ---------------------------------------------------------------- what is told

    def _on_message(self, message: tuple[Any, ...]) -> None:
        kind = message[0]
        if kind == "race":
            self.board.begin(message[1])
            self.hub.send(self.whole())
        elif kind == "update":
            update = message[1]
            if self.state != STARTING:
                self.state = update["state"]
            self.board.add(update)
            self.hub.send(self._envelope(update, whole=False))
        elif kind == "results":
            self._finished(message[1])
        elif kind == "lost":
            self.state = IDLE
            self.message = "The simulation's process has ended unexpectedly. Start the race again."
            self.board.begin(None)
            self.notify(self.message, "error")
            self.hub.send(self.whole())

    def _envelope(self, update: dict[str, Any], *, whole: bool) -> dict[str, Any]:
        lanes = update.get("lanes", [])
        return {
            "type": "simulation_update",
            "sequence": next(self._sequence),
            "sent_s": time.time(),
            "whole": whole,
            "race": self._race_id,
            **update,
            "state": self.state,
            "comparison": [{"name": lane["id"], "avg_time": lane["mean_jct_s"]} for lane in lanes],
        }

    def whole(self) -> dict[str, Any]:
        """One update that holds everything."""
        return self._envelope({**self.board.whole(), "hybrid": self.hybrid.whole()}, whole=True)

    def notify(self, text: str, level: str = "info") -> None:
        """Tells everyone a sentence."""
        self.hub.send({"type": "notification", "level": level, "message": text})

    def _finished(self, rows: list[dict[str, Any]]) -> None:
        setup = self.board.setup or {}
        about = {"workload": setup["workload"], "about": setup["about"], "cluster": setup["cluster"]["text"]}
        at = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        try:
            head = {"race": self._race_id, "at": at, **about}
            self.history.add([{**head, "policy": row["policy"], "metrics": row["metrics"]} for row in rows])
        except RlSchedError as error:
            self.notify(str(error), "error")
        whole = [row for row in rows if row["metrics"]["mean_jct_s"] is not None]
        best = min(whole, key=lambda row: row["metrics"]["mean_jct_s"], default=None)
        if best is not None:
            mean_s = best["metrics"]["mean_jct_s"]
            self.notify(f"The race is over: {best['policy']} is first, mean JCT {mean_s:,.1f} s.")

    def status(self) -> dict[str, Any]:
        """For ``GET /api/status``."""
        last = self.board.last
        return {
            "state": self.state,
            "is_running": self.state == RUNNING,
            "is_paused": self.state == PAUSED,
            "speed": last.get("speed", 0.0),
            "clock_s": last.get("clock_s", 0.0),
            "race": self.board.setup,
            "lanes": [
                {key: value for key, value in lane.items() if key not in ("bars", "log", "points")}
                for lane in last.get("lanes", [])
            ],
            "message": self.message,
        }

    # ---------------------------------------------------------------- commands

    def _need(self, *states: str, what: str) -> None:
        if self.state not in states:
            now = {IDLE: "there is no race", STARTING: "the race is being made"}.get(
                self.state, f"the race is {self.state}"
            )
            raise NotNow(f"To {what}, the race must be {' or '.join(states)}; {now}. {_advice(self.state)}")

    async def start(self, wanted: Start) -> None:
        """Begins a race in place of the one before.

        Raises:
            RlSchedError: It cannot be.
        """
        if self.state == RUNNING:
            raise NotNow("A race runs already. Stop it first.")
        self._need(IDLE, PAUSED, FINISHED, what="start a race")
        before, self.state, self.message = self.state, STARTING, None
        try:
            setup = await self._setup(wanted)
            self._race_id = f"r{time.time_ns() // 1_000_000:x}"
            async with self._command:
                await self.link.ask("start", setup=setup, speed=wanted.speed, paused=wanted.paused)
        except BaseException as error:
            self.state = before if self.board.setup else IDLE
            if isinstance(error, RlSchedError):
                self.message = str(error)
            raise
        self.state = PAUSED if wanted.paused else RUNNING
        self.hub.send(self.whole())

    async def _setup(self, wanted: Start) -> Setup:
        known = await self.catalogue()
        policies = {row["id"]: row for row in known.policies}
        self._check_workload(known, wanted.workload)
        if len(set(wanted.policies)) < len(wanted.policies):
            raise ConfigError("The policies of a race must differ; one was chosen twice.")
        for name in wanted.policies:
            if name not in policies:
                raise ConfigError(f"There is no policy {name!r}. GET /api/catalogue lists them.")
        entrants = tuple(Entrant(name, policies[name]["name"], known.paths.get(name)) for name in wanted.policies)
        return Setup(wanted.workload, entrants, wanted.seed, wanted.jobs, wanted.load, wanted.cluster)

    @staticmethod
    def _check_workload(known: Catalogue, name: str) -> None:
        if name not in {row["id"] for row in known.workloads}:
            raise ConfigError(f"There is no workload {name!r}. GET /api/catalogue lists them.")

    async def workload(self, name: str) -> dict[str, Any]:
        """What is to be known of a workload.

        Raises:
            ConfigError: It is not listed.
        """
        self._check_workload(await self.catalogue(), name)
        if name not in self._workloads:
            self._workloads[name] = await self.read(reader.read_workload, name)
        return self._workloads[name]

    async def command(self, name: str, states: tuple[str, ...], **arguments: Any) -> None:
        """Sends a command that makes sense in some states only.

        Raises:
            NotNow: In another one.
        """
        self._need(*states, what=name)
        async with self._command:
            await self.link.ask(name, **arguments)

    async def stop(self) -> None:
        """Ends the race and forgets it.

        Raises:
            NotNow: There is none.
        """
        await self.command("stop", (RUNNING, PAUSED, FINISHED))
        self.state = IDLE
        self.board.begin(None)
        self.hub.send(self.whole())

    async def explain(self, lane: str, index: int) -> dict[str, Any]:
        """One decision, taken apart.

        Raises:
            NotNow: There is no race.
        """
        self._need(RUNNING, PAUSED, FINISHED, what="look at a decision")
        async with self._command:
            return await self.link.ask("explain", lane=lane, index=index)

    async def report(self) -> str:
        """The report page of the race so far, as HTML.

        Raises:
            NotNow: There is no race, or it runs.
        """
        self._need(PAUSED, FINISHED, what="make a report")
        async with self._command:
            setup, record = await self.link.ask("record")
        return await self.read(reader.write_report, setup, record, (self.board.setup or {})["about"])

    def close(self) -> None:
        """Ends the processes."""
        self.link.close()
        self.hybrid.close()
        self._pool.shutdown(wait=False, cancel_futures=True)


def _new_pool() -> ProcessPoolExecutor:
    """The one process that looks at files; it starts with the first question."""
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), initializer=reader.begin)


def _advice(state: str) -> str:
    if state == IDLE:
        return "Start one."
    if state == STARTING:
        return "Wait a moment."
    if state == FINISHED:
        return "Reset it or start another one."
    return "Pause it first." if state == RUNNING else "Resume it first."
