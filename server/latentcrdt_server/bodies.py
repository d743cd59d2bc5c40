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

FIRST_BATCH_BYTES = 64 * 2**10
"""Enough for most headers, so that a wrong one is refused before much of the body is sent."""

BATCH_BYTES = 2 * 2**20
"""What a worker thread hashes and writes at a time, so that its hop costs little beside it."""

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


async def chunks(receive: Receive, *, limit: int, timeout_s: float) -> AsyncIterator[bytes]:
    """Yield a request's body as it arrives.

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


async def pour(body: AsyncIterable[bytes], write: Callable[[bytes], None]) -> int:
    """Write a body batch by batch in worker threads; return how many bytes it had.

    ``write`` is never called twice at once, and not again after it raised; its error surfaces here
    with the next chunk that arrives.
    """
    writing: asyncio.Task[None] | None = None
    batch: list[bytes] = []
    total = size = 0
    full = FIRST_BATCH_BYTES
    try:
        async for chunk in body:
            batch.append(chunk)
            total += len(chunk)
            size += len(chunk)
            if writing is not None and (size >= full or writing.done()):
                await writing
                writing = None
            if size >= full:
                writing = asyncio.create_task(run_in_threadpool(_write, write, batch))
                batch, size, full = [], 0, BATCH_BYTES
        if writing is not None:
            await writing
            writing = None
        if batch:
            await run_in_threadpool(_write, write, batch)
    finally:
        if writing is not None:
            await asyncio.wait({writing})  # whoever closes the push must not find it at work
            writing.exception()
    return total


async def read_small(receive: Receive, *, limit: int, timeout_s: float) -> bytes:
    """Return a whole small body; raises as ``chunks`` does."""
    return b"".join([chunk async for chunk in chunks(receive, limit=limit, timeout_s=timeout_s)])


def _write(write: Callable[[bytes], None], batch: list[bytes]) -> None:
    write(b"".join(batch))


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
