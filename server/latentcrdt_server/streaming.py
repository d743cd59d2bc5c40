"""Answer with many bytes: made in worker threads as the caller takes them, memory bounded.

How many streams there are is bounded by admission; how long a reader may stand still, by whoever
sends. Long ones pass the event loop by where the server lets them (see bulk_answer.py); short ones,
and all on another server or behind TLS, are copied and pass through it batch by batch.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TypeAlias

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from latentcrdt.client.workers import finished
from latentcrdt_server.admission import Admission
from latentcrdt_server.bulk_answer import EXTENSION, LEAST_BULK_BYTES, BulkAnswer

SLICE_BYTES = 512 * 2**10
"""One write to the socket by the event loop, which serves others after each."""

BATCH_BYTES = 2 * 2**20
"""What a worker thread copies for the event loop at a time, so that its hop costs little."""

Slices: TypeAlias = Generator[memoryview, None, None]


class ByteStream(Response):
    """A response of known length whose bytes come from a generator of slices.

    ``slices`` is drawn in worker threads, one at a time, and closed when the answer is complete or
    the caller has gone; a slice need not stay as it is when the next one is drawn.
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
        self._first: memoryview | None = None
        self._num_sent = 0
        self._making_s = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the head, then slice by slice as the caller takes them."""
        with self._streams.admit(1):
            gone = asyncio.create_task(_disconnected(receive))
            try:
                # Whatever is wrong with the first slice can still be answered with a problem.
                self._first = await finished(run_in_threadpool(self._make))
                start = {"status": self.status_code, "headers": self.raw_headers}
                await send({"type": "http.response.start", **start})
                bulk: BulkAnswer | None = scope.get("extensions", {}).get(EXTENSION)
                if bulk is None or self._length < LEAST_BULK_BYTES:
                    await self._pass_through(send, gone)
                else:
                    await self._pass_by(bulk, gone)
                if not gone.done():
                    # Had too few bytes come: uvicorn counts, and cuts the connection for it.
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
            finally:
                gone.cancel()
                self._slices.close()
                self._on_end(self._num_sent, self._making_s)

    async def _pass_by(self, bulk: BulkAnswer, gone: asyncio.Task[None]) -> None:
        try:
            await bulk.send(self._draw, gone)
        finally:
            self._num_sent = bulk.num_sent

    async def _pass_through(self, send: Send, gone: asyncio.Task[None]) -> None:
        while batch := await finished(run_in_threadpool(self._copy_batch)):
            for piece in batch:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                self._num_sent += len(piece)
                # A fast socket takes all at once, and then send() never lets others run.
                await asyncio.sleep(0)
                if gone.done():
                    return

    def _copy_batch(self) -> list[bytes]:
        """Return copies of the next slices, about ``BATCH_BYTES``; none when there are no more."""
        batch: list[bytes] = []
        size = 0
        while size < BATCH_BYTES and (view := self._draw()) is not None:
            batch += [bytes(view[i : i + SLICE_BYTES]) for i in range(0, len(view), SLICE_BYTES)]
            size += len(view)
        return batch

    def _draw(self) -> memoryview | None:
        """Return the next slice, None when there are no more; the first was made already."""
        first, self._first = self._first, None
        return self._make() if first is None else first

    def _make(self) -> memoryview | None:
        began = time.perf_counter()
        made = next(self._slices, None)
        self._making_s += time.perf_counter() - began
        return made


def mapped_slices(parts: Sequence[memoryview], start: int, stop: int) -> Slices:
    """Yield the bytes ``start`` to ``stop`` of parts that lie in memory or in a mapped file."""
    position = 0
    for part in parts:
        piece = part[max(start - position, 0) : max(stop - position, 0)]
        if piece:
            yield piece
        position += len(part)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
