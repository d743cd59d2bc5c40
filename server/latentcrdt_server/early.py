"""Answer before a request's body was read, so that the answer arrives and the body does not.

A refused or already known push is answered at once. HTTP then leaves two traps, both closed here
for every route: a connection whose next bytes may be a body or a request must not be used again,
and closing a socket on unread bytes resets it, which destroys the answer on its way.
"""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LINGER_S = 30.0
"""How long a sender may go on sending after its answer; one that reads stops at once."""

LINGER_IDLE_S = 1.0
"""A sender that pauses for this long has stopped, or never began."""


class EarlyAnswer:
    """ASGI middleware: closes the connection after an early answer, and not before it is safe."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on; step in when an answer overtakes the body."""
        if scope["type"] != "http" or not _has_body(Headers(scope=scope)):
            await self._app(scope, receive, send)
            return
        body = _Body(receive, Headers(scope=scope).get("expect", "").lower() == "100-continue")

        async def send_early(message: Message) -> None:
            if body.is_read:
                await send(message)
            elif message["type"] == "http.response.start":
                headers = [*message["headers"], (b"connection", b"close")]
                await send({**message, "headers": headers})
            elif message.get("more_body", False) or body.is_awaited:
                await send(message)
            else:
                await send({**message, "more_body": True})
                await body.drain()
                await send({"type": "http.response.body", "body": b"", "more_body": False})

        await self._app(scope, body.receive, send_early)


class _Body:
    """Knows how far a request's body was read."""

    def __init__(self, receive: Receive, expects_continue: bool) -> None:
        self._receive = receive
        self.is_read = False
        self.is_awaited = expects_continue
        """The caller still waits for ``100 Continue`` (uvicorn sends it on the first receive)."""

    async def receive(self) -> Message:
        self.is_awaited = False
        message = await self._receive()
        if not message.get("more_body", False):
            self.is_read = True
        return message

    async def drain(self) -> None:
        """Let the body go by, for a while."""
        try:
            async with asyncio.timeout(LINGER_S):
                while not self.is_read:
                    async with asyncio.timeout(LINGER_IDLE_S):
                        await self.receive()
        except TimeoutError:
            return


def _has_body(headers: Headers) -> bool:
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
