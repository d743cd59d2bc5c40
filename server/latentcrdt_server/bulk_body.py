"""Take one long request body off its connection, past the parser, into memory used again and again.

uvicorn copies a body five times on the event loop's thread, each time into fresh memory, and wakes
the application for every quarter of a megabyte. A body of known length needs no parser: its bytes
are read here into one batch while the application works on the one before.
"""

from __future__ import annotations

import asyncio

from starlette.types import Message
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from latentcrdt_server.batch_memory import BATCH_BYTES, batch_memory
from latentcrdt_server.bodies import FIRST_BATCH_BYTES

LEAST_BULK_BYTES = 128 * 2**10
"""From here on it pays; little but fragments is this long."""

PATIENCE_S = 0.05
"""How long bytes wait for more of their batch: a slow sender must be seen to send."""


class BulkBody(asyncio.BufferedProtocol):
    """A connection's protocol until the body's last byte; then what it was before.

    Rule: nothing is read while two batches are out, so the bytes that ``receive`` gave stay as they
    are until it has been called twice more.
    """

    def __init__(self, http: asyncio.Protocol, cycle: RequestResponseCycle, num_bytes: int) -> None:
        """``num_bytes`` of the cycle's body are still to come; it must not have started."""
        self._http = http
        self._cycle = cycle
        self._left = num_bytes
        self._filling, self._resting = batch_memory(), batch_memory()
        self._size = 0
        self._full = FIRST_BATCH_BYTES
        self._ready: memoryview | None = None
        self._timer: asyncio.TimerHandle | None = None

    def take_over(self) -> None:
        """Become the connection's protocol, and the source of the application's bytes."""
        self._receive = self._cycle.receive
        self._cycle.receive = self.receive  # type: ignore[method-assign,assignment]
        self._cycle.transport.set_protocol(self)

    async def receive(self) -> Message:
        """Return the next bytes, as ASGI's receive does."""
        cycle = self._cycle
        body: bytes | memoryview
        if cycle.body:  # came together with the head
            body, cycle.body = bytes(cycle.body), bytearray()
        else:
            if self._ready is None:
                # uvicorn's own knows of 100 Continue and of callers that leave; it resumes the
                # reading and waits.
                message = await self._receive()
                if message["type"] != "http.request":
                    return dict(message)
            body, self._ready = self._ready or b"", None
        cycle.message_event.clear()
        return {"type": "http.request", "body": body, "more_body": self._has_more}

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - a hint
        """Return room for what is left of the batch or, if that is less, of the body."""
        stop = min(BATCH_BYTES, self._size + self._left)
        return self._filling[self._size : stop]

    def buffer_updated(self, nbytes: int) -> None:
        """Give a batch to the application when it is full, the last, or old."""
        self._size += nbytes
        self._left -= nbytes
        if self._size >= self._full or not self._left:
            self._give()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PATIENCE_S, self._give)

    def pause_writing(self) -> None:
        """Pass on."""
        self._http.pause_writing()

    def resume_writing(self) -> None:
        """Pass on."""
        self._http.resume_writing()

    def eof_received(self) -> bool | None:
        """Pass on."""
        return self._http.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on."""
        self._stop_timer()
        self._let_go()
        self._http.connection_lost(exc)

    @property
    def _has_more(self) -> bool:
        return self._left > 0 or self._ready is not None

    def _give(self) -> None:
        self._stop_timer()
        self._ready = self._filling[: self._size]
        self._filling, self._resting = self._resting, self._filling
        self._size, self._full = 0, BATCH_BYTES
        cycle = self._cycle
        if self._left:
            cycle.flow.pause_reading()
        else:
            self._let_go()
            cycle.more_body = False
            cycle.transport.set_protocol(self._http)
        cycle.message_event.set()

    def _let_go(self) -> None:
        # A connection remembers its last request for as long as it rests.
        self._filling = self._resting = memoryview(b"")

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
