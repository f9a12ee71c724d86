"""Headless Chromium by its DevTools protocol: enough to click, to read and to look at what it asks the network for."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

#: Names under which Chromium is installed.
NAMES = ("chromium", "chromium-browser", "google-chrome")
#: Seconds that it may take to start, and that a page may take to come to what is waited for.
START_S, WAIT_S = 60.0, 120.0


def chromium() -> str | None:
    """Path of the browser; None if there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """One page.

    Args:
        socket: The DevTools' WebSocket of the page.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._number = 0
        self.requests: list[str] = []  # addresses that the page has asked for
        self.errors: list[str] = []  # exceptions and console errors
        for name in ("Page", "Runtime", "Network", "Log"):
            self.command(f"{name}.enable")

    def command(self, method: str, **params: Any) -> dict[str, Any]:
        """Sends a command and returns its result; events that come before it are taken note of."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=WAIT_S))
            if message.get("id") == self._number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self._event(message)

    def _event(self, message: dict[str, Any]) -> None:
        method, params = message.get("method"), message.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Network.webSocketCreated":
            self.requests.append(params["url"])
        elif method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"])[:500])
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.errors.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")

    def size(self, width: int, height: int, theme: str = "light") -> None:
        """Sets the window's size in CSS pixels and the colours that the system prefers."""
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])

    def open(self, url: str) -> None:
        """Goes to an address."""
        self.command("Page.navigate", url=url)

    def js(self, expression: str) -> Any:
        """The value of an expression (of what it promises, if it is a promise).

        Raises:
            RuntimeError: It threw.
        """
        out = self.command("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in out:
            raise RuntimeError(f"{expression}: {json.dumps(out['exceptionDetails'])[:400]}")
        return out["result"].get("value")

    def until(self, expression: str, limit_s: float = WAIT_S) -> Any:
        """Waits until an expression is truthy; returns its value.

        Raises:
            TimeoutError: It does not become so.
        """
        end = time.monotonic() + limit_s
        while True:
            with contextlib.suppress(RuntimeError):
                if value := self.js(expression):
                    return value
            if time.monotonic() > end:
                raise TimeoutError(f"waited {limit_s:.0f} s for {expression}; errors of the page: {self.errors}")
            time.sleep(0.05)

    def click(self, selector: str, text: str | None = None) -> None:
        """Clicks the first visible element of a selector (that has this text), once it is there and enabled."""
        having = "true" if text is None else f"e.textContent.trim() === {json.dumps(text)}"
        found = (
            f"[...document.querySelectorAll({json.dumps(selector)})]"
            f".find(e => e.offsetParent !== null && !e.disabled && {having})"
        )
        self.until(f"!!{found}")
        self.js(f"{found}.click()")

    def screenshot(self, path: Path) -> None:
        """Writes a PNG of the window."""
        path.write_bytes(base64.b64decode(self.command("Page.captureScreenshot", format="png")["data"]))


@contextlib.contextmanager
def browsing() -> Iterator[Browser]:
    """A page of a fresh browser for the length of a block; needs ``chromium()``."""
    binary = chromium()
    if binary is None:
        raise RuntimeError(f"A browser is needed: install one of {', '.join(NAMES)}.")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [binary, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
        command += ["--disable-background-networking", "--remote-debugging-port=0", f"--user-data-dir={folder}"]
        process = subprocess.Popen([*command, "about:blank"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            url = _page(Path(folder) / "DevToolsActivePort")
            with connect(url, max_size=None, open_timeout=START_S, ping_interval=None) as socket:
                yield Browser(socket)
        finally:
            process.terminate()
            process.wait()


def _page(file: Path) -> str:
    """Address of the DevTools of the first page."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError, IndexError, ValueError):
            port = int(file.read_text().split()[0])
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=START_S) as answer:
                pages = [page for page in json.load(answer) if page["type"] == "page"]
            return pages[0]["webSocketDebuggerUrl"]
        time.sleep(0.05)
    raise RuntimeError("Chromium did not start.")
