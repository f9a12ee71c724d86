"""A thread that brings MLflow up to date while trials run, so that MLflow is never in the way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

#: Seconds between two replays, and the longest wait after failures.
INTERVAL_S = 5.0
MAX_WAIT_S = 60.0


class BackgroundSync:
    """Calls ``sync`` every few seconds in a daemon thread; its failures are kept, never raised.

    Args:
        sync: Brings the store up to date; may raise, and is then called again later.
        interval_s: Seconds between two calls.
    """

    def __init__(self, sync: Callable[[], object], interval_s: float = INTERVAL_S) -> None:
        self._sync = sync
        self._interval_s = interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)
        self.error: Exception | None = None  #: of the last call; None = up to date
        self.cpu_s = 0.0  #: CPU seconds of all calls

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def close(self, timeout_s: float = MAX_WAIT_S) -> bool:
        """Makes one last call and ends the thread.

        Returns:
            True if everything is in the store; False if the last call failed or did not end in ``timeout_s``.
        """
        self._stop.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive() and self.error is None

    def _run(self) -> None:
        wait_s = 0.0
        while True:
            last = self._stop.wait(wait_s)
            try:
                self._sync()
                self.error = None
                wait_s = self._interval_s
            except Exception as error:
                # The store is away or full: the spools keep everything.
                self.error = error
                wait_s = min(2 * max(wait_s, self._interval_s), MAX_WAIT_S)
            self.cpu_s = time.thread_time()
            if last:
                return
