from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest
from latentcrdt_server.admission import Admission
from latentcrdt_server.streaming import (
    BATCH_BYTES,
    SLICE_BYTES,
    ByteStream,
    Slices,
    mapped_slices,
)
from starlette.types import Message

from latentcrdt.errors import BusyError

NUM_SLICES = 40


class Source:
    """Slices that are counted as they are made, on which thread, until the end or an error."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.num_made = 0
        self.is_closed = False
        self.threads: set[str] = set()
        self._fails_at = fails_at

    def __call__(self) -> Slices:
        try:
            buffer = bytearray(SLICE_BYTES)  # written over for each slice, as a render's is
            for i in range(NUM_SLICES):
                if i == self._fails_at:
                    raise RuntimeError("out of bytes")
                self.threads.add(threading.current_thread().name)
                self.num_made += 1
                buffer[:] = bytes([i]) * SLICE_BYTES
                yield memoryview(buffer)
        finally:
            self.is_closed = True


def answer(
    source: Source,
    on_sent: Callable[[int], None] = lambda _: None,
    leaves_after: int = -1,
    streams: Admission | None = None,
) -> tuple[list[Message], list[int]]:
    """Send a whole stream to a caller that may leave; return the messages and what was counted."""
    sent: list[Message] = []
    counted: list[int] = []

    async def go() -> None:
        left = asyncio.Event()

        async def receive() -> Message:
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)
            on_sent(len(sent))
            if len(sent) == leaves_after:
                left.set()

        stream = ByteStream(
            source(),
            length=NUM_SLICES * SLICE_BYTES,
            media_type="application/octet-stream",
            headers={},
            streams=streams or Admission(1, "streams"),
            on_end=lambda num_bytes, _seconds: counted.append(num_bytes),
        )
        await stream({"type": "http"}, receive, send)

    asyncio.run(go())
    return sent, counted


def test_a_stream_is_sent_whole_although_its_slices_are_written_over() -> None:
    source = Source()
    (start, *parts), counted = answer(source)
    assert start["type"] == "http.response.start"
    assert b"".join(p["body"] for p in parts) == b"".join(map(bytes, Source()()))
    assert [p["more_body"] for p in parts] == [True] * NUM_SLICES + [False]
    assert counted == [NUM_SLICES * SLICE_BYTES]
    assert source.is_closed


def test_slices_are_made_off_the_event_loop_and_at_most_one_batch_ahead() -> None:
    source = Source()
    most_ahead = 0

    def look(num_messages: int) -> None:
        nonlocal most_ahead
        most_ahead = max(most_ahead, source.num_made - (num_messages - 1))

    answer(source, look)
    assert threading.main_thread().name not in source.threads
    assert most_ahead <= BATCH_BYTES // SLICE_BYTES


def test_the_head_is_sent_when_the_first_slice_is_made() -> None:
    source = Source()
    made: list[int] = []
    answer(source, lambda _: made.append(source.num_made))
    assert made[0] == 1


def test_a_caller_that_leaves_stops_the_work() -> None:
    source = Source()
    sent, counted = answer(source, leaves_after=6)
    assert len(sent) <= 8
    assert source.num_made < NUM_SLICES / 2
    assert source.is_closed
    assert counted[0] < NUM_SLICES * SLICE_BYTES


def test_a_stream_too_many_is_refused_before_anything_is_made() -> None:
    streams, source = Admission(1, "streams"), Source()
    with streams.admit(1), pytest.raises(BusyError, match="streams: 1 under way of 1 allowed"):
        answer(source, streams=streams)
    assert source.num_made == 0
    answer(source, streams=streams)
    assert source.num_made == NUM_SLICES
    assert streams.num_admitted == 0


@pytest.mark.parametrize("fails_at", [0, 10])
def test_an_error_is_passed_on_before_or_in_the_middle_of_the_bytes(fails_at: int) -> None:
    source = Source(fails_at)
    sent: list[int] = []
    with pytest.raises(RuntimeError, match="out of bytes"):
        answer(source, sent.append)
    assert source.is_closed
    # Before the first byte nothing is sent, so that a problem can be answered instead.
    assert bool(sent) == bool(fails_at)


@pytest.mark.parametrize(("start", "stop"), [(0, 12), (0, 5), (3, 7), (5, 12), (11, 12), (4, 5)])
def test_mapped_slices_cross_their_parts(start: int, stop: int) -> None:
    parts = (memoryview(b"hello"), memoryview(b" "), memoryview(b"world!"))
    assert b"".join(mapped_slices(parts, start, stop)) == b"hello world!"[start:stop]
