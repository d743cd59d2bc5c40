"""uvicorn's HTTP protocol with limits on what comes before a request is understood.

uvicorn's httptools protocol takes heads of any length, at any pace, and lets a fresh connection
wait for ever: a few thousand such connections cost a server all its memory or all its sockets.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 2**10
"""Request line and headers, or the framing between two chunks of a body. nginx allows 40 KiB."""

HEAD_TIMEOUT_S = 20.0
"""From the connection, or a request's first byte, to the end of its head."""


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose request head is too long or too slow."""

    head_timeout_s = HEAD_TIMEOUT_S

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._num_silent = 0
        """Bytes received since the parser last made progress that an application sees."""
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._head_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; give up on a peer that sends much and says nothing."""
        self._num_silent += len(data)
        super().data_received(data)
        if self._num_silent > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("Request head too large.")

    def on_message_begin(self) -> None:
        """Note that a head has begun."""
        super().on_message_begin()
        self._expect_head()

    def on_headers_complete(self) -> None:
        """Note that the head is whole."""
        self._head_came()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Note progress."""
        self._num_silent = 0
        super().on_body(body)

    def _expect_head(self) -> None:
        self._head_came()
        self._deadline = self.loop.call_later(self.head_timeout_s, self._give_up)

    def _head_came(self) -> None:
        self._num_silent = 0
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
