"""The server's end of a process that simulates."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import multiprocessing
import threading
from collections.abc import Callable
from typing import Any

from rl_sched.errors import RlSchedError

#: A request that takes longer has failed; a first one compiles kernels, or trains strategies.
TIMEOUT_S = 1800.0


class LinkLost(RlSchedError):
    """The simulation's process has ended."""


class Link:
    """Starts the process, asks it, and hands on what it tells.

    Args:
        main: What the process runs; it is given its end of the pipe.
        on_message: Called in the event loop with every message that is no reply; with ``("lost",)`` when the process
            has ended by itself.
    """

    def __init__(self, main: Callable[[Any], None], on_message: Callable[[tuple[Any, ...]], None]) -> None:
        self._main = main
        self._on_message = on_message
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._process: Any = None
        self._pipe: Any = None
        self._sending = threading.Lock()

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return None if self._process is None else self._process.pid

    def open(self) -> None:
        """Starts the process; its imports go on while the server serves."""
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=self._main, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, args=(self._pipe, loop), daemon=True).start()

    def _read(self, pipe: Any, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            try:
                message = pipe.recv()
            except (EOFError, OSError):
                message = ("lost",)
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
                loop.call_soon_threadsafe(self._hand_on, pipe, message)
            if message == ("lost",):
                return

    def _hand_on(self, pipe: Any, message: tuple[Any, ...]) -> None:
        if pipe is not self._pipe:
            return  # of a process that was closed on purpose
        if message[0] == "reply":
            _, number, ok, value = message
            future = self._waiting.pop(number, None)
            if future is not None and not future.done():
                future.set_result(value) if ok else future.set_exception(RlSchedError(value))
            return
        if message == ("lost",):
            self._forget()
        self._on_message(message)

    def _forget(self) -> None:
        waiting, self._waiting = self._waiting, {}
        self._process, self._pipe = None, None
        for future in waiting.values():
            if not future.done():
                future.set_exception(LinkLost("The simulation's process has ended. Start the race again."))

    async def ask(self, name: str, **arguments: Any) -> Any:
        """Sends a command and waits for the answer; starts the process if there is none.

        Raises:
            RlSchedError: What the command ended with.
            LinkLost: The process ended.
        """
        if self._process is None:
            self.open()
        number = next(self._numbers)
        future = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        pipe = self._pipe

        def send() -> None:
            with self._sending, contextlib.suppress(OSError):  # the reader learns of the end too
                pipe.send((number, name, arguments))

        await asyncio.to_thread(send)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await future
        except TimeoutError:
            raise LinkLost(f"The simulation has not answered {name!r} within {TIMEOUT_S:.0f} s. Restart it.") from None

    def close(self) -> None:
        """Ends the process."""
        process, pipe = self._process, self._pipe
        self._forget()
        if process is not None:
            pipe.close()
            process.join(timeout=2.0)
            if process.is_alive():
                process.kill()
                process.join()
