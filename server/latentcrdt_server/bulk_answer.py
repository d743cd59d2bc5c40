"""Send one long answer past the event loop: workers write it to the socket from where it lies.

On the loop each slice passes through every layer of the application, and has to stay as it is until
the loop has sent it: what is made in a buffer would have to be copied first. A worker sends one
slice and then makes the next, while what the socket has taken keeps the reader busy.

Rule: a worker gives up its thread when the socket takes nothing for ``PATIENCE_S``, and after a
turn of ``TURN_BYTES``. So readers that stand still hold no threads, and no answer holds up others.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections.abc import Callable
from typing import TypeAlias

import structlog
from starlette.concurrency import run_in_threadpool
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from latentcrdt.client.workers import finished
from latentcrdt_server.outgoing import Outgoing

EXTENSION = "latentcrdt.bulk_answer"
"""Where the scope of a request has its `BulkAnswer`, if the server that runs us offers one."""

LEAST_BULK_BYTES = 256 * 2**10
"""From here on it pays: below, a thread's hop costs more than it spares."""

TURN_BYTES = 16 * 2**20
"""Sent before another answer may have the thread: a few milliseconds."""

PATIENCE_S = 0.01
"""A reader that keeps up makes room within this time; a hop to the loop and back costs 0.1 ms."""

Draw: TypeAlias = Callable[[], memoryview | None]
"""Returns the next slice, which it may overwrite when it is called again; None at the end."""

log = structlog.get_logger("latentcrdt_server")


class _ReaderGoneError(Exception):
    """Raised when the connection takes nothing more; what ``draw`` raises is another matter."""


class BulkAnswer:
    """The body of one answer. uvicorn sends the head before it, and is told what was sent."""

    def __init__(self, cycle: RequestResponseCycle, timeout_s: float) -> None:
        """``timeout_s``: how long the reader may take nothing."""
        self._cycle = cycle
        self._timeout_s = timeout_s
        self._outgoing: Outgoing | None = Outgoing(memoryview(b""))
        """The slice that is being sent; None when there are no more."""
        self._is_full = False
        """Whether the last turn ended because the socket took nothing."""
        self.num_sent = 0
        """Bytes that the socket has taken."""

    async def send(self, draw: Draw, gone: asyncio.Future[None]) -> None:
        """Send every slice, or until the reader has ``gone``; its head was sent before.

        ``draw`` is called in worker threads, one at a time, and what it raises surfaces here.
        """
        cycle = self._cycle
        try:
            await self._flush_head()
            # A descriptor of our own: the loop may close its one at any time.
            with socket.socket(
                fileno=os.dup(cycle.transport.get_extra_info("socket").fileno())
            ) as sock:
                sock.setblocking(False)
                while self._outgoing is not None and not gone.done():
                    await finished(run_in_threadpool(self._send_for_a_turn, sock, draw))
                    if self._is_full:
                        await self._room(sock, gone)
        except _ReaderGoneError:
            self._give_up()
            await gone
        finally:
            if self._outgoing is not None:
                self._outgoing.close()
        # uvicorn lets no answer end that is shorter than its head says.
        cycle.expected_content_length -= self.num_sent

    async def _flush_head(self) -> None:
        """Wait until the socket has taken all that uvicorn wrote: earlier answers and the head."""
        transport = self._cycle.transport
        if transport.is_closing():
            raise _ReaderGoneError
        transport.set_write_buffer_limits(high=0)
        await self._cycle.flow.drain()
        if transport.is_closing():
            raise _ReaderGoneError
        transport.set_write_buffer_limits()

    def _send_for_a_turn(self, sock: socket.socket, draw: Draw) -> None:
        """Send slices until there are no more, the turn is over, or the socket has no room."""
        stop = self.num_sent + TURN_BYTES
        room = select.poll()
        room.register(sock, select.POLLOUT)
        self._is_full = False
        while self.num_sent < stop:
            assert self._outgoing is not None
            if self._outgoing.is_sent:
                self._outgoing.close()
                slice_ = draw()
                if slice_ is None:
                    self._outgoing = None
                    return
                self._outgoing = Outgoing(slice_)
            try:
                self.num_sent += self._outgoing.send_to(sock)
            except BlockingIOError:
                if not room.poll(PATIENCE_S * 1e3):
                    self._is_full = True
                    return
            except OSError as error:
                raise _ReaderGoneError from error

    async def _room(self, sock: socket.socket, gone: asyncio.Future[None]) -> None:
        """Wait until the socket takes more, or the reader has gone, or has to go."""
        loop = asyncio.get_running_loop()
        room = loop.create_future()

        def has_room() -> None:
            loop.remove_writer(sock)
            room.set_result(None)

        loop.add_writer(sock, has_room)
        try:
            done, _ = await asyncio.wait(
                {room, gone}, timeout=self._timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            loop.remove_writer(sock)
        if not done:
            log.warning("reader stalled", peer=self._cycle.scope["client"], sent=self.num_sent)
            raise _ReaderGoneError

    def _give_up(self) -> None:
        """End the connection, and let whoever asks know that the reader has gone."""
        if not self._cycle.transport.is_closing():
            # Not close(): that would keep what the reader never takes.
            self._cycle.transport.abort()
        # uvicorn itself says so of a connection's last request alone.
        self._cycle.disconnected = True
        self._cycle.message_event.set()
