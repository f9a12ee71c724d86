"""Serves MLflow's user interface over the embedded store, on this machine only unless told otherwise.

A running server is announced in ``data/mlflow_ui.json``, so that a sweep can print a link to it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from rl_sched.errors import ConfigError, RlSchedError
from rl_sched.tracking.store import Store, mlflow_environment

HOST = "127.0.0.1"
#: A loaded machine takes this long to import MLflow's server in the worst case.
START_TIMEOUT_S = 120.0


def check_port_free(port: int, host: str = HOST) -> None:
    """Raises a ``ConfigError`` if something listens on the port already, or this machine has not that address."""
    if not 1 <= port <= 65535:
        raise ConfigError(f"--port must be between 1 and 65535; it is {port}.")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except socket.gaierror as error:
            raise ConfigError(
                f"--host must be an address of this machine; {host!r} is none: {error.strerror}."
            ) from None
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise ConfigError(f"--host must be an address of this machine; {host!r} is none.") from None
            raise ConfigError(
                f"Port {port} on {host} must be free; it is in use ({error.strerror}). "
                f"End the program that uses it, or choose another port with --port {min(port + 1, 65535)}."
            ) from None


class UiServer:
    """MLflow's server as a child process.

    Args:
        store: The store to show; it must exist.
        port: Port to listen on.
        host: Address to listen on; by default nobody else can reach it.
    """

    def __init__(self, store: Store, port: int, host: str = HOST) -> None:
        check_port_free(port, host)
        self.address = f"http://{host}:{port}"
        self._store = store
        self._log = store.data_dir.resolve() / "mlflow_ui.log"
        command = [
            *(sys.executable, "-m", "mlflow", "server"),
            *("--backend-store-uri", store.uri, "--registry-store-uri", store.uri),
            *("--default-artifact-root", store.artifacts.as_uri(), "--no-serve-artifacts"),
            *("--host", host, "--port", str(port), "--workers", "1"),
        ]
        if host != HOST:
            # Else the page's own requests count as somebody else's, and it shows nothing but "Request error".
            command += ["--allowed-hosts", f"{host}:{port}", "--cors-allowed-origins", self.address]
        with self._log.open("w") as log:
            # A session of its own: Ctrl-C reaches us alone, and we end the server with all its workers.
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=mlflow_environment(),
                cwd=store.data_dir,
                start_new_session=True,
            )

    def wait_until_ready(self) -> None:
        """Returns when the server answers.

        Raises:
            RlSchedError: It ended, or did not answer in two minutes.
        """
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RlSchedError(f"MLflow's server must keep running; it ended at once. {self._last_line()}")
            if _answers(self.address):
                _announcement(self._store).write_text(json.dumps({"address": self.address}))
                return
            time.sleep(0.2)
        raise RlSchedError(f"MLflow's server must answer within {START_TIMEOUT_S:.0f} s; it did not. See {self._log}.")

    def wait(self) -> None:
        """Returns when the server has ended by itself."""
        self._process.wait()

    def stop(self) -> None:
        """Ends the server and its workers."""
        if running_address(self._store) == self.address:
            _announcement(self._store).unlink(missing_ok=True)
        if self._process.poll() is not None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, number)
                self._process.wait(timeout=10)
                return
            except ProcessLookupError:
                return
            except subprocess.TimeoutExpired:
                continue

    def _last_line(self) -> str:
        lines = Path(self._log).read_text(errors="replace").strip().splitlines()
        return f"Its last words: {lines[-1]} (all of them: {self._log})" if lines else f"See {self._log}."


def running_address(store: Store) -> str | None:
    """``http://host:port`` of the server that shows this store now, or None if there is none."""
    try:
        address = str(json.loads(_announcement(store).read_text())["address"])
    except (OSError, ValueError, KeyError):
        return None
    return address if _answers(address) else None


def _announcement(store: Store) -> Path:
    return store.data_dir / "mlflow_ui.json"


def _answers(address: str) -> bool:
    with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(f"{address}/health", timeout=2):
        return True
    return False
