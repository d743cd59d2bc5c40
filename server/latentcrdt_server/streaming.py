"""Answer with many bytes: made in worker threads, sent in slices, memory bounded by two batches.

(A render's engine holds a buffer of its own beside them.) How many streams there are is bounded by
admission; how long one may stand still, by the protocol.

Rule: nothing but sending happens on the event loop. A batch is made ahead while the one before it
is sent, and no further: the socket's back-pressure reaches whoever makes the bytes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from typing import TypeAlias

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from latentcrdt.core.encoding import Buffer
from latentcrdt_server.admission import Admission

SLICE_BYTES = 512 * 2**10
"""One write to the socket; the loop serves others after each."""

BATCH_BYTES = 2 * 2**20
"""What a worker thread makes at a time, so that its hop costs little beside it."""

PAGE_BYTES = 4096
"""The smallest page size that is in use; touching one byte of each brings a mapping in."""

Slices: TypeAlias = Generator[Buffer, None, None]


class ByteStream(Response):
    """A response of known length whose bytes come from a generator of slices.

    ``slices`` is drawn in worker threads, one at a time, and closed when the answer is complete or
    the caller has gone; each slice must stay as it is until it is sent.
    """

    def __init__(
        self,
        slices: Slices,
        *,
        length: int,
        media_type: str,
        headers: Mapping[str, str],
        status_code: int = 200,
        on_end: Callable[[int, float], None],
        streams: Admission,
    ) -> None:
        """``on_end`` is told the bytes sent and the seconds it took to make them.

        ``streams`` has to admit it before anything is made: BusyError, and no answer, if not.
        """
        super().__init__(
            None, status_code, {**headers, "Content-Length": str(length)}, media_type=media_type
        )
        self._slices = slices
        self._length = length
        self._on_end = on_end
        self._streams = streams
        self._num_sent = 0
        self._making_s = 0.0

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send the head, then slice by slice as the caller takes them."""
        with self._streams.admit(1):
            await self._stream(receive, send)

    async def _stream(self, receive: Receive, send: Send) -> None:
        gone = asyncio.create_task(_disconnected(receive))
        making = self._make_batch()
        more = True
        try:
            # Whatever is wrong with the first batch can still be answered with a problem.
            batch = await making
            start = {"status": self.status_code, "headers": self.raw_headers}
            await send({"type": "http.response.start", **start})
            while batch:
                making = self._make_batch()
                for piece in batch:
                    self._num_sent += len(piece)
                    more = self._num_sent < self._length
                    await send({"type": "http.response.body", "body": piece, "more_body": more})
                    # A fast socket takes all at once, and then send() never lets others run.
                    await asyncio.sleep(0)
                    if gone.done():
                        return
                batch = await making
            if more:
                # Too few bytes came: uvicorn counts, and cuts the connection for it.
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()
            await self._stop(making)

    def _make_batch(self) -> asyncio.Task[list[Buffer]]:
        return asyncio.create_task(run_in_threadpool(self._draw))

    def _draw(self) -> list[Buffer]:
        """Return the next slices, about ``BATCH_BYTES`` of them; none when there are no more."""
        began = time.perf_counter()
        batch: list[Buffer] = []
        size = 0
        while size < BATCH_BYTES and (piece := next(self._slices, None)) is not None:
            batch.append(piece)
            size += len(piece)
        self._making_s += time.perf_counter() - began
        return batch

    async def _stop(self, making: asyncio.Task[list[Buffer]]) -> None:
        """Close the generator, after the worker's batch: it cannot be closed while it runs."""
        await asyncio.wait({making})
        if not making.cancelled():
            making.exception()  # looked at, so that asyncio does not report it a second time
        await run_in_threadpool(self._slices.close)
        self._on_end(self._num_sent, self._making_s)


def mapped_slices(parts: Sequence[memoryview], start: int, stop: int) -> Slices:
    """Yield the bytes ``start`` to ``stop`` of parts that lie in memory or in a mapped file.

    Nothing is copied, but the pages of a mapping are brought in here, not on the event loop.
    """
    position = 0
    for part in parts:
        first = max(start - position, 0)
        last = min(stop - position, len(part))
        for at in range(first, last, SLICE_BYTES):
            piece = part[at : min(at + SLICE_BYTES, last)]
            bytes(piece[::PAGE_BYTES])
            yield piece
        position += len(part)


def copied_slices(views: Iterator[memoryview]) -> Slices:
    """Yield copies of views that are valid only until the next is asked for.

    A slice may still be waiting for the socket by then, so it needs memory of its own.
    """
    for view in views:
        for at in range(0, len(view), SLICE_BYTES):
            piece = view[at : at + SLICE_BYTES]
            # Not from malloc, which keeps what hundreds of readers held once they have gone.
            copy = mmap(-1, len(piece), flags=MAP_PRIVATE | MAP_ANONYMOUS)
            copy[:] = piece
            yield memoryview(copy)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
