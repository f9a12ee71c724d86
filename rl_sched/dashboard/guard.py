"""What every request has to pass: the token, the host that it names, the size of its body."""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

#: Bytes of a request's body; the largest that makes sense has some hundreds.
MAX_BODY = 16_384
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
COOKIE = "rl_sched_token"
#: The page loads nothing from anywhere else, and no other page may show it.
HEADERS = (
    (b"content-security-policy", b"default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
     b"frame-ancestors 'none'; base-uri 'none'; form-action 'self'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)  # fmt: skip


class _TooLarge(Exception):
    pass


class Guard:
    """ASGI middleware.

    Args:
        app: What is guarded.
        token: Everyone must show it: ``Authorization: Bearer TOKEN``, or once ``/?token=TOKEN``, which sets a cookie.
            None = nobody need, and only requests that name this machine are answered, so that no other site's page can
            reach the server by a name of its own.
    """

    def __init__(self, app: Asgi, token: str | None) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        status, text = self._refused(scope, headers)
        if status:
            await _refuse(scope, send, status, text)
        elif scope["type"] == "websocket":
            await self._app(scope, receive, send)
        elif self._wants_cookie(scope):
            await _set_cookie(scope, send, str(self._token))
        else:
            await self._limited(scope, receive, send)

    def _refused(self, scope: MutableMapping[str, Any], headers: dict[str, str]) -> tuple[int, str]:
        host = _name(headers.get("host", ""))
        if self._token is None and host not in LOOPBACK:
            return 403, "Only this machine may ask, as 127.0.0.1 or localhost."
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != headers.get("host"):
            return 403, "A page of another site may not use the dashboard."
        if self._token is not None and not self._knows_token(scope, headers):
            return 401, "Open the address with ?token=TOKEN, as the server printed it, or send Authorization: Bearer."
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MAX_BODY:
            return 413, f"A request may have at most {MAX_BODY:,} bytes."
        return 0, ""

    def _knows_token(self, scope: MutableMapping[str, Any], headers: dict[str, str]) -> bool:
        shown = [headers.get("authorization", "").removeprefix("Bearer "), _query_token(scope)]
        cookies = SimpleCookie()
        try:
            cookies.load(headers.get("cookie", ""))
        except CookieError:
            cookies = SimpleCookie()
        if COOKIE in cookies:
            shown.append(cookies[COOKIE].value)
        known = str(self._token).encode()
        return any(hmac.compare_digest(one.encode(), known) for one in shown)

    def _wants_cookie(self, scope: MutableMapping[str, Any]) -> bool:
        return self._token is not None and scope["path"] == "/" and bool(_query_token(scope))

    async def _limited(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > MAX_BODY:
                raise _TooLarge
            return message

        async def answer(message: Message) -> None:
            if seen > MAX_BODY:
                return  # what the application makes of a body that was cut; the refusal follows
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        with contextlib.suppress(_TooLarge):
            await self._app(scope, counted, answer)
        if seen > MAX_BODY:
            await _refuse(scope, send, 413, f"A request may have at most {MAX_BODY:,} bytes.")


def _name(host: str) -> str:
    """A host without its port."""
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def _query_token(scope: MutableMapping[str, Any]) -> str:
    return parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]


async def _refuse(scope: MutableMapping[str, Any], send: Send, status: int, text: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": text[:120]})
        return
    body = f'{{"detail":"{text}"}}'.encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _set_cookie(scope: MutableMapping[str, Any], send: Send, token: str) -> None:
    """The token leaves the address bar and stays in the browser."""
    cookie = f"{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/".encode()
    headers = [(b"location", b"/"), (b"set-cookie", cookie), (b"content-length", b"0"), *HEADERS]
    await send({"type": "http.response.start", "status": 303, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
