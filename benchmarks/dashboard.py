"""The dashboard under load: ``python -m benchmarks.dashboard [--json] [--quick]``.

- Updates a second that the page draws while 4 policies play 10,000 jobs as fast as they can.
- What being looked at costs the simulation, beside the same lanes played headless by a process that takes turns with it
  (a shared machine's own speed varies, from second to second): in CPU time, and in wall-clock time without the time in
  which the thread could run but had no core (what waiting for the server costs). Once with the updates going to the
  server and its log alone, as when the browser is on another machine; once with the browser here, where it keeps a core
  busy, which by itself slows a neighbour that shares caches and clock with it. Wall-clock time itself is told too.
- Delay of messages to WebSocket clients, from the server's clock to the client's, while one of them reads nothing.
- First paint and weight of the page over loopback, and whether any request leaves the machine.

The browser's figures need Chromium and are left out, with a word, where there is none.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import re
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from websockets.asyncio.client import connect

from benchmarks.report import emit
from rl_sched.testing.browser import Browser, browsing, chromium
from rl_sched.testing.dashboard_server import Served, served

POLICIES = ("fifo_backfill", "sjf_backfill", "min_min", "priority")


class Sizes(NamedTuple):
    """How much is measured."""

    jobs: int = 10_000
    clients: int = 100
    seconds: float = 60.0
    turn_s: float = 2.0  # that one of two simulations plays while the other rests
    rounds: int = 5  # of races, each with a page and without


QUICK = Sizes(jobs=400, clients=8, seconds=2.0, turn_s=0.1, rounds=1)


def race(sizes: Sizes, **more: Any) -> dict[str, Any]:
    """The body that starts the race of all figures."""
    policies = [f"rule:{name}" for name in POLICIES]
    return {"workload": "trace:synthetic", "jobs": sizes.jobs, "load": 0.9, "policies": policies, "speed": 0, **more}


class Took(NamedTuple):
    """What playing all lanes has taken."""

    cpu_s: float  #: of the process, all its threads
    wall_s: float
    coreless_s: float  #: of the wall-clock time: the main thread could run, but other work held the cores

    @property
    def own_s(self) -> float:
        """Wall-clock time on a core of its own."""
        return self.wall_s - self.coreless_s


class Clock:
    """Runs from its making on, for one process (Linux)."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._began = self._read()

    def _read(self) -> Took:
        threads = [file.read_text().split() for file in Path(f"/proc/{self._pid}/task").glob("*/schedstat")]
        waited_ns = int(Path(f"/proc/{self._pid}/schedstat").read_text().split()[1])
        return Took(sum(int(t[0]) for t in threads) / 1e9, time.perf_counter(), waited_ns / 1e9)

    def took(self) -> Took:
        """Since then."""
        return Took(*(now - then for now, then in zip(self._read(), self._began, strict=True)))


def _headless(jobs: int, pipe: Any) -> None:
    from rl_sched.dashboard.choices import Entrant, Setup
    from rl_sched.dashboard.race import Race

    entrants = tuple(Entrant(f"rule:{name}", name) for name in POLICIES)
    one = Race(Setup("trace:synthetic", entrants, jobs=jobs, load=0.9), 0.0)
    for lane in one.lanes:  # the first decisions compile, or load what was compiled
        lane.decide()
    one.reset()
    while one.state != "finished":
        pipe.send(None)
        turn_s = pipe.recv()
        clock = Clock(os.getpid())
        one.resume()
        one.move(time.monotonic() + turn_s)
        one.pause()
        pipe.send(clock.took())
    pipe.send(True)


def turns(server: Served, sizes: Sizes, page: Browser | None) -> tuple[Took, Took, float]:
    """One race twice, in turns: in the server, and without anybody looking in a process of its own.

    Returns:
        What each of them took, and the updates a second that the page drew (0 without one).
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_headless, args=(sizes.jobs, theirs))
    child.start()
    server.post("/api/start", race(sizes, paused=True))
    server.post("/api/step", {"decisions": 1})
    server.post("/api/reset")
    simulation = simulation_of(server)
    drawn = "rlSched.updates"
    before = page.js(drawn) if page is not None else 0
    seen, alone = [], []
    playing, resting = True, ours.recv() is None
    while playing or resting:
        if playing:
            clock = Clock(simulation)
            server.post("/api/resume")
            end = time.monotonic() + sizes.turn_s
            while time.monotonic() < end and server.get("/api/status")["state"] == "running":
                time.sleep(sizes.turn_s / 10)
            playing = server.post("/api/pause")[0] == 200  # 400: it has come to its end
            seen.append(clock.took())
        if resting:
            ours.send(sizes.turn_s)
            alone.append(ours.recv())
            resting = ours.recv() is None
    child.join()
    updates = page.js(drawn) - before - 2 * len(seen) if page is not None else 0  # without those of resume and pause
    server.post("/api/stop")
    took, took_alone = (Took(*map(sum, zip(*tooks, strict=True))) for tooks in (seen, alone))
    return took, took_alone, updates / took.wall_s


def simulation_of(server: Served) -> int:
    """The process of the simulation: the first that the server has spawned."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    spawned = [pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return int(min(spawned, key=int))


async def _listen(url: str, until: float, delays: list[float]) -> None:
    async with connect(url, max_size=None, compression=None) as ws:
        first = True
        while (left := until - time.time()) > 0:
            try:
                text = await asyncio.wait_for(ws.recv(), left)
            except TimeoutError:
                return
            found = re.search(rb'"sent_s":([0-9.]+)', text if isinstance(text, bytes) else text[:400].encode())
            if found and not first:
                delays.append(time.time() - float(found[1]))
            first = False


async def _deaf(url: str, until: float) -> None:
    """Connects and reads nothing."""
    host, port = re.findall(r"//([\d.]+):(\d+)", url)[0]
    reader, writer = await asyncio.open_connection(host, int(port), limit=1)
    writer.write(
        f"GET /ws HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.sleep(max(until - time.time(), 0.0))
    writer.transport.abort()


async def _crowd(url: str, sizes: Sizes) -> list[float]:
    until = time.time() + sizes.seconds + 1.0
    delays: list[float] = []
    listening = [_listen(url, until, delays) for _ in range(sizes.clients - 1)]
    await asyncio.gather(_deaf(url, until), *listening)
    return delays


def crowd(server: Served, sizes: Sizes) -> np.ndarray:
    """Delays in ms of all messages to all clients that read, while the race runs over and over."""
    server.post("/api/start", race(sizes, speed=60.0))
    delays = np.array(asyncio.run(_crowd(server.socket, sizes))) * 1e3
    server.post("/api/stop")
    return delays


def first_paint(server: Served, page: Browser) -> tuple[float, float, int]:
    """Milliseconds to the first contentful paint, kilobytes of the page, and requests to other machines."""
    page.requests.clear()
    page.open(server.address)
    page.until("window.rlSched && rlSched.connected")
    paint = page.until("(performance.getEntriesByName('first-contentful-paint')[0] || {}).startTime")
    size = page.js(
        "[...performance.getEntriesByType('resource'), ...performance.getEntriesByType('navigation')]"
        ".reduce((sum, entry) => sum + entry.transferSize, 0)"
    )
    page.until("document.querySelectorAll('.pick input').length > 0")
    away = [url for url in page.requests if not re.match(r"(https?|ws)://127\.0\.0\.1:|data:|about:", url)]
    return float(paint), size / 1024, len(away)


def figure(name: str, unit: str, ours: float | None, asked: float | None, what: str) -> dict[str, Any]:
    """A figure beside what is asked for."""
    ratio = None if ours is None or not asked else ours / asked
    return {"name": name, "unit": unit, "ours": ours, "peer": asked, "peer_name": what, "ratio": ratio}


def slowed(how: str, pairs: list[tuple[Took, Took]], jobs: int) -> list[dict[str, Any]]:
    """What being looked at costs the simulation: medians over pairs of (looked at, headless)."""

    def ratio(name: str) -> float:
        return statistics.median(getattr(seen, name) / getattr(alone, name) for seen, alone in pairs)

    seen_per_s, alone_per_s = (jobs / statistics.median(pair[i].cpu_s for pair in pairs) for i in range(2))
    name = f"simulation against headless, {how}"
    return [
        figure(f"{name}, CPU time", "ratio", ratio("cpu_s"), 1.1, "asked, at most"),
        figure(f"{name}, time on a core of its own", "ratio", ratio("own_s"), 1.1, "asked, at most"),
        figure(f"{name}, wall-clock time, all on {len(os.sched_getaffinity(0))} cores", "ratio",
               ratio("wall_s"), None, "-"),
        figure(f"simulation {how}", "jobs/CPU s", seen_per_s, alone_per_s, "headless"),
    ]  # fmt: skip


def measure(sizes: Sizes) -> list[dict[str, Any]]:
    """All figures."""
    rows = []
    jobs = len(POLICIES) * sizes.jobs
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as server:
        server.get("/api/catalogue")
        told = [turns(server, sizes, None)[:2] for _ in range(sizes.rounds)]
        if chromium() is None:
            rows.append(figure("page: skipped, no Chromium here", "updates/s", None, 20.0, "asked, at least"))
        else:
            with browsing() as page:
                page.size(1280, 900)
                paint_ms, weight_kb, away = first_paint(server, page)
                seen = [turns(server, sizes, page) for _ in range(sizes.rounds)]
            draws = min(updates_per_s for *_, updates_per_s in seen)
            rows.append(figure("page draws, slowest race", "updates/s", draws, 20.0, "asked, at least"))
            rows.append(figure("first paint on loopback", "ms", paint_ms, 1000.0, "asked, at most"))
            rows.append(figure("weight of the page", "KiB", weight_kb, 5120.0, "asked, at most"))
            rows.append(figure("requests that leave the machine", "requests", float(away), None, "asked: 0"))
            rows += slowed("with the page here", [pair[:2] for pair in seen], jobs)
        rows += slowed("while told", told, jobs)
        delays = crowd(server, sizes)
        title = f"delay of a message, {sizes.clients} clients, one deaf, {sizes.seconds:g} s"
        for q in (50, 99):
            rows.append(figure(f"{title}, p{q}", "ms", float(np.percentile(delays, q)), 250.0, "asked, at most (p99)"))
        rate = len(delays) / (sizes.clients - 1) / sizes.seconds
        rows.append(figure("messages to each client meanwhile", "messages/s", rate, None, "-"))
    return rows


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dashboard", description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--quick", action="store_true", help="a small race: shows that it runs, measures nothing")
    parser.add_argument("--seconds", type=float, default=Sizes().seconds, help="of the crowd (default: %(default)s)")
    arguments = parser.parse_args()
    emit(measure(QUICK if arguments.quick else Sizes(seconds=arguments.seconds)), arguments.json)


if __name__ == "__main__":
    main()
