"""uvicorn's HTTP protocol with limits on peers that send too much, too slowly, or never read.

uvicorn's httptools protocol takes heads of any length, at any pace, lets a fresh connection wait
for ever, and keeps an answer for ever whose reader stands still: a few thousand such connections
cost a server all its memory or all its sockets.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from latentcrdt_server.bodies import LEAST_BYTES_PER_S
from latentcrdt_server.bulk_answer import EXTENSION, BulkAnswer
from latentcrdt_server.bulk_body import LEAST_BULK_BYTES, BulkBody

MAX_HEAD_BYTES = 64 * 2**10
"""Request line and headers, or the framing between two chunks of a body. nginx allows 40 KiB."""

HEAD_TIMEOUT_S = 20.0
"""From the connection, or a request's first byte, to the end of its head."""

log = structlog.get_logger("latentcrdt_server")


class _HeadTooLargeError(Exception):
    """Raised into the parser, to stop it: uvicorn knows what to do when a callback fails."""


class BoundedProtocol(HttpToolsProtocol):
    """Closes a connection whose request head is too long or too slow, or that takes no answer."""

    head_timeout_s = HEAD_TIMEOUT_S
    write_timeout_s = 30.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._num_silent = 0
        """Bytes received since the parser last made progress that an application sees."""
        self._head_bytes = 0
        """Bytes of the head that is being parsed: one read may bring more than is allowed."""
        self._head_deadline: asyncio.TimerHandle | None = None
        self._write_deadline: asyncio.TimerHandle | None = None
        self._body_left = 0
        """Bytes that have yet to come of the body whose head is in what is being parsed."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._head_came()
        self._stop_watching()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse; give up on a peer that sends much and says nothing."""
        if self._head_deadline is None and not self._answers():
            # An empty line before a head begins no message, and ends uvicorn's own idle timer.
            self._expect_head()
        self._num_silent += len(data)
        super().data_received(data)
        if self._num_silent > MAX_HEAD_BYTES:
            self.send_400_response("Request head too large.")
        if self._body_left >= LEAST_BULK_BYTES and not self._is_queued():
            self._take_bulk()
        # Later is too late: the application has taken hold of where its bytes come from.
        self._body_left = 0

    def send_400_response(self, msg: str) -> None:
        """Refuse and close; say nothing into an answer under way, or a second time."""
        if self.transport.is_closing():
            return
        if self._answers() and self.cycle.response_started:
            self.transport.close()
            return
        super().send_400_response(msg)

    def on_message_begin(self) -> None:
        """Note that a head has begun."""
        super().on_message_begin()
        self._head_bytes = 0
        self._expect_head()

    def on_url(self, url: bytes) -> None:
        """Count."""
        self._count_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count."""
        self._count_head(len(name) + len(value) + len(": \r\n"))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Note that the head is whole."""
        self._head_came()
        super().on_headers_complete()
        bulk: Any = BulkAnswer(self.cycle, self.write_timeout_s)  # not what uvicorn expects there
        self.scope["extensions"] = {EXTENSION: bulk}
        self._body_left = int(dict(self.headers).get(b"content-length", 0))

    def on_body(self, body: bytes) -> None:
        """Note progress."""
        self._num_silent = 0
        self._body_left -= len(body)
        super().on_body(body)

    def pause_writing(self) -> None:
        """Begin to watch whether the peer takes what waits for it."""
        super().pause_writing()
        self._watch_writing()

    def resume_writing(self) -> None:
        """Stop watching: it did."""
        self._stop_watching()
        super().resume_writing()

    def _answers(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn does not say that it begins so
        return cycle is not None and not cycle.response_complete

    def _is_queued(self) -> bool:
        """Return whether the request that is being parsed waits for the answer of another."""
        return self.transport.is_closing() or bool(self.pipeline)

    def _take_bulk(self) -> None:
        """Let the rest of the body pass the parser by, which starts afresh behind it."""
        BulkBody(self, self.cycle, self._body_left).take_over()
        self.parser = httptools.HttpRequestParser(self)

    def _count_head(self, num_bytes: int) -> None:
        self._head_bytes += num_bytes
        if self._head_bytes > MAX_HEAD_BYTES:
            self.send_400_response("Request head too large.")
            raise _HeadTooLargeError

    def _expect_head(self) -> None:
        self._head_came()
        self._head_deadline = self.loop.call_later(self.head_timeout_s, self._give_up)

    def _head_came(self) -> None:
        self._num_silent = 0
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _give_up(self) -> None:
        if self._answers():
            # A part of the next request came early: it is not late before its turn.
            self._expect_head()
        elif not self.transport.is_closing():
            self.transport.close()

    def _watch_writing(self) -> None:
        waiting = self.transport.get_write_buffer_size()
        self._write_deadline = self.loop.call_later(
            self.write_timeout_s, self._check_writing, waiting
        )

    def _check_writing(self, waited: int) -> None:
        waiting = self.transport.get_write_buffer_size()
        if waited - waiting >= LEAST_BYTES_PER_S * self.write_timeout_s:
            self._watch_writing()
            return
        log.warning("reader stalled", peer=self.client, waiting_bytes=waiting)
        # Not close(): that would keep what is waiting until the peer takes it.
        self.transport.abort()

    def _stop_watching(self) -> None:
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = None


def bounded_protocol(write_timeout_s: float) -> type[BoundedProtocol]:
    """Return the protocol that gives up on a reader who takes nothing for so long."""
    return type("BoundedProtocol", (BoundedProtocol,), {"write_timeout_s": write_timeout_s})
