from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest
from latentcrdt_server.admission import Admission
from latentcrdt_server.bodies import BATCH_BYTES, chunks, declared_length, pour, read_small
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Message

from latentcrdt.errors import BusyError, DigestMismatchError, StalledBodyError, TooLargeError


class Sender:
    """Receives as from uvicorn: these chunks, then whatever ``ending`` says."""

    def __init__(self, *parts: bytes, ending: str = "whole") -> None:
        self._messages = self._make(parts, ending)

    async def __call__(self) -> Message:
        message = next(self._messages, None)
        if message is None:
            await asyncio.Event().wait()
            raise AssertionError
        return message

    @staticmethod
    def _make(parts: tuple[bytes, ...], ending: str) -> Iterator[Message]:
        for part in parts:
            yield {"type": "http.request", "body": part, "more_body": True}
        if ending == "whole":
            yield {"type": "http.request", "body": b"", "more_body": False}
        if ending == "disconnect":
            yield {"type": "http.disconnect"}


def test_a_small_body_is_read_whole() -> None:
    body = asyncio.run(read_small(Sender(b"ab", b"", b"c"), limit=3, timeout_s=5))
    assert body == b"abc"


def test_a_body_past_the_limit_is_refused_as_soon_as_it_is() -> None:
    with pytest.raises(TooLargeError) as caught:
        asyncio.run(read_small(Sender(b"ab", b"cd", ending="stall"), limit=3, timeout_s=5))
    assert caught.value.details["limit"] == 3


def test_a_declared_length_over_the_limit_is_refused_before_the_body() -> None:
    assert declared_length(Headers({"content-length": "10"}), 10) == 10
    assert declared_length(Headers({}), 10) is None
    with pytest.raises(TooLargeError):
        declared_length(Headers({"content-length": "11"}), 10)


def test_a_body_that_stops_is_given_up() -> None:
    with pytest.raises(StalledBodyError) as caught:
        asyncio.run(read_small(Sender(b"ab", ending="stall"), limit=10, timeout_s=0.01))
    assert caught.value.details["received"] == 2


def test_a_caller_that_leaves_ends_the_reading() -> None:
    with pytest.raises(ClientDisconnect):
        asyncio.run(read_small(Sender(b"ab", ending="disconnect"), limit=10, timeout_s=5))


def test_pouring_writes_all_bytes_in_order_and_never_two_batches_at_once() -> None:
    parts = [bytes([i % 256]) * 100_000 for i in range(100)]
    written = bytearray()
    busy = threading.Lock()

    def write(data: bytes) -> None:
        assert busy.acquire(blocking=False)
        written.extend(data)
        busy.release()

    async def go() -> int:
        return await pour(chunks(Sender(*parts), limit=10**9, timeout_s=5), write)

    assert asyncio.run(go()) == 10_000_000
    assert written == b"".join(parts)


def test_pouring_waits_for_a_slow_writer_instead_of_gathering() -> None:
    part = bytes(2**18)
    taken = 0
    most_ahead = 0
    written = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal taken, most_ahead
        for _ in range(200):
            taken += len(part)
            most_ahead = max(most_ahead, taken - written)
            yield part
            await asyncio.sleep(0)

    def write(data: bytes) -> None:
        nonlocal written
        threading.Event().wait(0.005)
        written += len(data)

    assert asyncio.run(pour(body(), write)) == written == 200 * len(part)
    assert most_ahead <= 2 * BATCH_BYTES + 2 * len(part)


def test_an_error_of_the_writer_ends_the_pouring() -> None:
    def write(_data: bytes) -> None:
        raise DigestMismatchError("no")

    async def go() -> int:
        sender = Sender(*[bytes(2**17)] * 1000, ending="stall")
        return await pour(chunks(sender, limit=10**9, timeout_s=5), write)

    with pytest.raises(DigestMismatchError):
        asyncio.run(go())


def test_admission_refuses_what_does_not_fit_beside_what_is_under_way() -> None:
    admission = Admission(10, "things")
    with admission.admit(6):
        with admission.admit(4):
            assert admission.num_admitted == 10
        with pytest.raises(BusyError), admission.admit(5):
            raise AssertionError
        assert admission.num_admitted == 6
    assert admission.num_admitted == 0


def test_a_push_that_is_alone_is_always_admitted() -> None:
    admission = Admission(10, "things")
    with admission.admit(100):
        assert admission.num_admitted == 100
