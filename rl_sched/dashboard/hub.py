"""The clients of the WebSocket: everyone gets every update, or, having been slow, the whole state instead."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

#: Messages that wait for a client. When there are more, they are thrown away, and it gets the whole state.
BACKLOG = 16
#: Clients at a time.
MAX_CLIENTS = 256
#: A client that takes nothing for so long is gone, s.
SEND_TIMEOUT_S = 20.0


class Socket(Protocol):
    """What is needed of a WebSocket."""

    async def send_text(self, data: str) -> None: ...


class Client:
    """One connection: a short queue and whether it has to be told everything anew."""

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.queue: deque[str] = deque()
        self.behind = True  # a new client knows nothing
        self.wake = asyncio.Event()

    def put(self, text: str) -> None:
        """Queues a message; never waits."""
        if not self.behind:
            if len(self.queue) >= BACKLOG:
                self.queue.clear()
                self.behind = True
            else:
                self.queue.append(text)
        self.wake.set()


class Hub:
    """All clients.

    Args:
        whole: Makes the message that tells everything.
    """

    def __init__(self, whole: Callable[[], dict[str, Any]]) -> None:
        self._whole = whole
        self._clients: set[Client] = set()
        self._whole_text: str | None = None  # valid until the next message

    @property
    def full(self) -> bool:
        return len(self._clients) >= MAX_CLIENTS

    def __len__(self) -> int:
        return len(self._clients)

    def send(self, message: dict[str, Any]) -> None:
        """Queues a message for everyone; encoded once, and waits for nobody."""
        self._whole_text = None
        if self._clients:
            text = encode(message)
            for client in self._clients:
                client.put(text)

    async def serve(self, socket: Socket) -> None:
        """Sends to one client until its connection breaks or it takes nothing any more."""
        client = Client(socket)
        client.wake.set()
        self._clients.add(client)
        try:
            while True:
                await client.wake.wait()
                client.wake.clear()
                while client.behind or client.queue:
                    if client.behind:
                        client.behind = False
                        text = self._whole_text = self._whole_text or encode(self._whole())
                    else:
                        text = client.queue.popleft()
                    async with asyncio.timeout(SEND_TIMEOUT_S):
                        await socket.send_text(text)
        finally:
            self._clients.discard(client)


def encode(message: dict[str, Any]) -> str:
    """JSON without blanks; what is not a number is refused, since browsers do not read it."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False)
