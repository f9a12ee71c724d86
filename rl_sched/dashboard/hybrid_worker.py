"""The process of the hybrid view: six strategies split the same stream of tasks between CPUs and GPUs.

The same messages as ``worker``; here ``("note", text)`` tells of training that has to come first, and
``("ready", value)`` that the tasks begin.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from rl_sched.dashboard.child import follow_parent
from rl_sched.errors import RlSchedError

#: Time between two updates, s; most tasks of one update; tasks of which the newest update tells the scatter.
FRAME_S, MAX_STEP, MAX_POINTS = 0.1, 2000, 40
IDLE_S = 0.5


def main(pipe: Connection) -> None:
    """Serves until the other end of the pipe is closed."""
    follow_parent()
    HybridWorker(pipe).serve()


class HybridWorker:
    """Holds at most one race of strategies.

    Args:
        pipe: To the server.
    """

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._outbox: queue.Queue[tuple[Any, ...]] = queue.Queue()
        self._race: Any = None
        self._running, self._rate, self._decided, self._owed = False, 0.0, 0, 0.0
        self._commands: dict[str, Callable[..., Any]] = {
            "start": self._start, "stop": self._stop, "pause": self._pause, "resume": self._resume,
            "rate": self._set_rate,
        }  # fmt: skip

    def serve(self) -> None:
        """See ``main``."""
        threading.Thread(target=self._send, daemon=True).start()
        last = time.monotonic()
        while True:
            try:
                while self._pipe.poll(FRAME_S if self._running else IDLE_S):
                    number, name, arguments = self._pipe.recv()
                    try:
                        self._outbox.put(("reply", number, True, self._commands[name](**arguments)))
                    except RlSchedError as error:
                        self._outbox.put(("reply", number, False, str(error)))
            except (EOFError, OSError):
                return
            now = time.monotonic()
            if self._running:
                self._move(now - last)
            last = now

    def _send(self) -> None:
        while True:
            message = self._outbox.get()
            try:
                self._pipe.send(message)
            except OSError:
                return

    def _start(self, preset: str, seed: int, rate: float, tasks: int | None, folder: Path) -> None:
        from rl_sched.dashboard.race import look_of
        from rl_sched.hybrid.prepared import ready
        from rl_sched.hybrid.race import SIX, Race

        strategies = ready(SIX, preset, folder, seed=seed, on_progress=lambda text: self._outbox.put(("note", text)))
        self._race = Race(strategies, preset, seed, tasks)
        self._running, self._rate, self._decided, self._owed = True, rate, 0, 1.0
        machine = self._race.preset.machine
        about = {"preset": preset, "seed": seed, "tasks": tasks, "cpus": machine.num_cpus, "gpus": machine.num_gpus}
        about["gpu_memory_mb"] = machine.gpu_memory_mb
        names = [{"name": name, **look_of(name)} for name in self._race.names]
        self._outbox.put(("ready", {**about, "strategies": names}))

    def _stop(self) -> None:
        self._race, self._running = None, False

    def _pause(self) -> None:
        self._running = False

    def _resume(self) -> None:
        self._running = True

    def _set_rate(self, rate: float) -> None:
        self._rate = rate

    def _move(self, passed_s: float) -> None:
        self._owed = min(self._owed + passed_s * self._rate, MAX_STEP)
        count = int(self._owed)
        if count < 1:
            return
        self._owed -= count
        steps = self._race.step(count)
        self._decided += count
        if self._race.finished:
            self._running = False
        self._outbox.put(("update", self._update(steps)))

    def _update(self, steps: dict[str, Any]) -> dict[str, Any]:
        totals = {name: _finite(asdict(total)) for name, total in self._race.totals().items()}
        latest = {name: step.results[-1] for name, step in steps.items() if step.results}
        some: list[Any] = next((step.results for step in steps.values() if step.results), [])
        task = some[-1] if some else None
        loads = self._race.load()
        return {
            "finished": self._race.finished,
            "decided": self._decided,
            "totals": totals,
            "task": None if task is None else {
                "id": task.task, "size": task.size, "intensity": task.intensity, "memory": task.memory_mb,
            },
            "comparison": [{"name": name, "avg_time": total["mean_latency_s"]} for name, total in totals.items()],
            "latest_results": {
                name: {
                    "time": r.latency_s, "energy": r.energy_j, "cost": r.cost_usd, "gpu_fraction": r.fraction,
                    "best_fraction": r.best_fraction,
                }
                for name, r in latest.items()
            },
            "utilization": {name: _load(load) for name, load in loads.items()},
            "points": [[r.size, r.intensity, r.memory_mb, r.best_fraction] for r in some[-MAX_POINTS:]],
            "curve": [[self._decided, *(totals[name]["mean_latency_s"] for name in self._race.names)]],
            "notices": [[n.decided, name, n.text] for name, step in steps.items() for n in step.notices],
        }  # fmt: skip


def _load(load: Any) -> dict[str, Any]:
    """Which devices are at work when the strategy decides, and how full the GPUs' memories are."""
    cpus, gpus = [bool(b) for b in load.cpu_busy], [bool(b) for b in load.gpu_busy]
    every = [*cpus, *gpus]
    return {
        "average_utilization": sum(every) / max(len(every), 1),
        "cpu_busy": cpus,
        "gpu_busy": gpus,
        "gpu_memory_mb": [float(m) for m in load.gpu_memory_mb],
    }


def _finite(row: dict[str, Any]) -> dict[str, Any]:
    return {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in row.items()}
