"""Take in a large request body: bounded memory, bounded patience, hashing and disk in a worker.

Rule: the event loop only gathers. One batch is written by a worker thread while the next one
fills, and no further: a slow disk stops the reading, and TCP stops the sender.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from latentcrdt.errors import StalledBodyError, TooLargeError
from latentcrdt_server.batch_memory import BATCH_BYTES, batch_memory

FIRST_BATCH_BYTES = 64 * 2**10
"""Enough for most headers, so that a wrong one is refused before much of the body is sent."""

LEAST_BYTES_PER_S = 1024
"""Slower than any link that could ever deliver a fragment, and faster than an idle attacker."""


def declared_length(headers: Headers, limit: int) -> int | None:
    """Return the Content-Length, or None for a chunked body; TooLargeError above ``limit``."""
    text = headers.get("content-length")
    if text is None:
        return None
    length = int(text)  # the HTTP parser has let nothing but digits through
    if length > limit:
        raise _too_large(limit, length)
    return length


async def chunks(
    receive: Receive, *, limit: int, timeout_s: float
) -> AsyncIterator[bytes | memoryview]:
    """Yield a request's body as it arrives; a view is overwritten two chunks later.

    Raises TooLargeError past ``limit`` bytes, StalledBodyError when nothing comes for ``timeout_s``
    or less than ``LEAST_BYTES_PER_S`` over a longer wait, ClientDisconnect when the caller leaves.
    """
    num_bytes = 0
    waited_s = 0.0
    more = True
    while more:
        began = time.monotonic()
        try:
            async with asyncio.timeout(timeout_s):
                message = await receive()
        except TimeoutError:
            raise _stalled(num_bytes, timeout_s) from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        more = message.get("more_body", False)
        num_bytes += len(chunk)
        waited_s += time.monotonic() - began  # our own slowness is not the sender's
        if num_bytes > limit:
            raise _too_large(limit, num_bytes)
        if more and waited_s > timeout_s and num_bytes < LEAST_BYTES_PER_S * waited_s:
            raise _stalled(num_bytes, waited_s)
        if chunk:
            yield chunk


async def pour(body: AsyncIterable[bytes | memoryview], write: Callable[[memoryview], None]) -> int:
    """Write a body batch by batch in worker threads; return how many bytes it had.

    A view is a batch already, and written where it lies, before the chunk after the next is drawn.

    ``write`` is never called twice at once, and not again after it raised; its error surfaces here
    with the next chunk that arrives. What it is given is overwritten when it has returned.
    """
    writer = _Writer(write)
    filling, resting = _Batch(), _Batch()
    total = 0
    full = FIRST_BATCH_BYTES
    try:
        async for chunk in body:
            total += len(chunk)
            if isinstance(chunk, memoryview):
                await writer.finish()
                await writer.write(filling.drain())
                writer.start(chunk)
                continue
            rest = memoryview(chunk)
            while rest:
                rest = filling.take(rest, full)
                if filling.size >= full or writer.is_done:
                    await writer.finish()
                if filling.size >= full:
                    writer.start(filling.drain())
                    filling, resting, full = resting, filling, BATCH_BYTES
        await writer.finish()
        await writer.write(filling.drain())
    finally:
        await writer.stop()
    return total


async def read_small(receive: Receive, *, limit: int, timeout_s: float) -> bytes:
    """Return a whole small body; raises as ``chunks`` does."""
    body = chunks(receive, limit=limit, timeout_s=timeout_s)
    return b"".join([bytes(chunk) async for chunk in body])


class _Batch:
    """Memory that is filled on the event loop and emptied in a worker, again and again.

    Memory that was written to before takes bytes several times as fast as fresh memory.
    """

    def __init__(self) -> None:
        self._memory = memoryview(b"")
        """Lent when the first byte comes: a body of views needs none."""
        self.size = 0

    def take(self, data: memoryview, full: int) -> memoryview:
        """Add bytes, up to ``full`` of them in all; return the rest."""
        if not self._memory:
            self._memory = batch_memory()
        taken = data[: full - self.size]
        self._memory[self.size : self.size + len(taken)] = taken
        self.size += len(taken)
        return data[len(taken) :]

    def drain(self) -> memoryview:
        """Return what it holds, to be written before it is filled again."""
        held, self.size = self._memory[: self.size], 0
        return held


class _Writer:
    """Writes in worker threads, one batch at a time."""

    def __init__(self, write: Callable[[memoryview], None]) -> None:
        self._write = write
        self._writing: asyncio.Task[None] | None = None

    @property
    def is_done(self) -> bool:
        """Whether the last write has ended, and nobody has looked how."""
        return self._writing is not None and self._writing.done()

    def start(self, batch: memoryview) -> None:
        """Begin to write a batch; the one before it must be finished."""
        self._writing = asyncio.create_task(run_in_threadpool(self._write, batch))

    async def finish(self) -> None:
        """Wait for the write under way, and raise its error."""
        if self._writing is not None:
            await self._writing
            self._writing = None

    async def write(self, batch: memoryview) -> None:
        """Write a batch, if there is anything in it."""
        if batch:
            self.start(batch)
            await self.finish()

    async def stop(self) -> None:
        """Wait for the write under way, whatever becomes of it."""
        if self._writing is not None:
            await asyncio.wait({self._writing})  # whoever closes the push must not find it at work
            if not self._writing.cancelled():
                self._writing.exception()


def _too_large(limit: int, length: int) -> TooLargeError:
    return TooLargeError(
        f"expected a body of at most {limit} bytes, got at least {length}", limit=limit
    )


def _stalled(num_bytes: int, waited_s: float) -> StalledBodyError:
    return StalledBodyError(
        f"expected at least {LEAST_BYTES_PER_S} bytes a second, got {num_bytes} bytes and waited "
        f"{waited_s:.1f} s for more",
        received=num_bytes,
    )
