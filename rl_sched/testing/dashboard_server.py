"""A dashboard in a process of its own, for tests and benchmarks."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: Seconds that the command may take to print its address, and that a state may take to come.
START_S, WAIT_S = 120.0, 300.0


class Served:
    """``python -m rl_sched.dashboard`` on some free port.

    Args:
        data: The data folder; checkpoints are looked for in ``checkpoints`` inside it.
        port: 0 = a free one.
        arguments: More of the command line.
    """

    def __init__(self, data: Path, port: int = 0, arguments: tuple[str, ...] = ()) -> None:
        command = [sys.executable, "-m", "rl_sched.dashboard", "--port", str(port), "--data", str(data)]
        command += ["--checkpoints", str(data / "checkpoints"), *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        found = re.search(r"http://([\w.]+):(\d+)/", self.line)
        if found is None:
            self.process.kill()
            raise RuntimeError(f"The dashboard did not start: {self.line}{self.process.stdout.read()}")
        self.output: deque[str] = deque(maxlen=1000)  # what it has printed since
        threading.Thread(target=self.output.extend, args=(self.process.stdout,), daemon=True).start()
        self.port = int(found[2])
        self.address = f"http://127.0.0.1:{self.port}"
        self.socket = f"ws://127.0.0.1:{self.port}/ws"
        self.until(lambda: self.get("/health")["status"] == "ok", START_S)

    def ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, dict[str, str]]:
        """Status, decoded JSON (or text) and headers of an answer, whatever the status."""
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        heads = {"content-type": "application/json", **(headers or {})}
        request = urllib.request.Request(self.address + path, data=data, method=method, headers=heads)
        try:
            with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
                status, text, heads = answer.status, answer.read().decode(), dict(answer.headers)
        except urllib.error.HTTPError as error:
            status, text, heads = error.code, error.read().decode(), dict(error.headers)
        with contextlib.suppress(ValueError):
            return status, json.loads(text), heads
        return status, text, heads

    def get(self, path: str) -> Any:
        """The JSON of an answer; {} while nobody answers."""
        with contextlib.suppress(OSError):
            return self.ask("GET", path)[1]
        return {"status": "", "state": ""}

    def post(self, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of the answer to a POST."""
        return self.ask("POST", path, body)[:2]

    def until(self, holds: Any, limit_s: float = WAIT_S, every_s: float = 0.05) -> None:
        """Waits until ``holds()``, which is asked every so many seconds.

        Raises:
            TimeoutError: It does not come to hold.
        """
        end = time.monotonic() + limit_s
        while not holds():
            if time.monotonic() > end or self.process.poll() is not None:
                raise TimeoutError(f"waited for {limit_s:.0f} s; the process's code: {self.process.poll()}")
            time.sleep(every_s)

    def until_state(self, state: str) -> dict[str, Any]:
        """Waits for a state of the race; returns the status."""
        self.until(lambda: self.get("/api/status")["state"] == state)
        return self.get("/api/status")

    def kill(self) -> None:
        """Ends it at once, as a crash would."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """Ends it as Ctrl-C does."""
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.kill()


@contextlib.contextmanager
def served(data: Path, port: int = 0, arguments: tuple[str, ...] = ()) -> Iterator[Served]:
    """A dashboard for the length of a block."""
    os.makedirs(data, exist_ok=True)
    one = Served(data, port, arguments)
    try:
        yield one
    finally:
        one.close()
