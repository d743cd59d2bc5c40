"""Long bodies pass the parser by: where they end, and whose bytes they are, stays beyond doubt."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import Mock

import pytest
from latentcrdt_server.bodies import BATCH_BYTES, chunks, pour
from latentcrdt_server.bulk_body import LEAST_BULK_BYTES, PATIENCE_S, BulkBody
from latentcrdt_server.child_process import ServerProcess
from starlette.requests import ClientDisconnect
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from latentcrdt.core.fragment import Fragment
from latentcrdt.testing.fragments import make_fragment, make_geometry
from tests.server.wire import FRAGMENT_TYPE, PeakMemory, Wire, stored, wait_until

GEOMETRY = make_geometry(head_dim=64, num_kv_heads=4)
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def make_long(seed: int) -> Fragment:
    fragment = make_fragment(seed, geometry=GEOMETRY, seq_len=2000)
    assert fragment.num_bytes > 2 * LEAST_BULK_BYTES
    return fragment


def head(fragment: Fragment, *lines: str) -> bytes:
    own = (f"Content-Type: {FRAGMENT_TYPE}", f"Content-Length: {fragment.num_bytes}", *lines)
    first = ("POST /v1/states/s/fragments HTTP/1.1", "Host: localhost")
    return "\r\n".join([*first, *own, "", ""]).encode()


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bulk") / "data"


@pytest.fixture(scope="module")
def brisk(data_dir: Path) -> Iterator[ServerProcess]:
    """A server that does not wait long for what does not come."""
    with ServerProcess(data_dir, body_timeout_s=1) as process:
        yield process


def statuses(received: bytes) -> list[int]:
    return [int(answer[:3]) for answer in received.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_request_behind_a_long_body_is_answered_in_its_turn(
    brisk: ServerProcess, seed: int
) -> None:
    """All of it arrives in pieces that know nothing of where one ends."""
    fragments = [make_long(10 * seed + n) for n in range(2)]
    sent = b"".join(head(f) + f.to_bytes() for f in fragments) + HEALTH
    choose = random.Random(seed)
    with Wire(brisk) as wire:
        position = 0
        while position < len(sent):
            size = choose.choice([1, 100, 70_000, 300_000, 3_000_000])
            wire.send(sent[position : position + size])
            position += size
        assert statuses(wire.read_to_end()) == [201, 201, 200]


def test_a_long_body_behind_another_request_is_taken_as_well(brisk: ServerProcess) -> None:
    fragment = make_long(51)
    first = HEALTH.replace(b"Connection: close\r\n", b"")
    with Wire(brisk) as wire:
        wire.send(first + head(fragment) + fragment.to_bytes() + HEALTH)
        assert statuses(wire.read_to_end()) == [200, 201, 200]


def test_a_body_that_is_waited_for_is_asked_for(brisk: ServerProcess) -> None:
    fragment = make_long(61)
    with Wire(brisk) as wire:
        wire.send(head(fragment, "Expect: 100-continue"))
        assert wire.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        wire.send(fragment.to_bytes())
        assert wire.answer().status == 201


def test_a_wrong_start_is_refused_before_the_rest_is_sent(brisk: ServerProcess) -> None:
    fragment = make_long(71)
    with Wire(brisk) as wire:
        wire.send(head(fragment) + b"X" * 200_000)
        assert wire.answer().status == 400


def test_a_slow_sender_is_not_taken_for_a_silent_one(brisk: ServerProcess) -> None:
    """It takes longer than the server waits for anything, and fills no batch in that time."""
    fragment = make_long(81)
    body = fragment.to_bytes()
    with Wire(brisk) as wire:
        wire.send(head(fragment) + body[:100_000])
        for n in range(20):
            wire.send(body[100_000 + 2000 * n :][:2000])
            assert not wire.readable(within_s=0.1)
        wire.send(body[140_000:])
        assert wire.answer().status == 201


def test_a_long_question_that_comes_slowly_is_read_as_it_was_sent(brisk: ServerProcess) -> None:
    """Its pieces lie in memory that is used again while the rest is waited for."""
    ids = [f"{number:064x}" for number in range(5_000)]
    body = json.dumps({"ids": ids}).encode()
    assert len(body) > 2 * LEAST_BULK_BYTES
    pause = threading.Event()
    with Wire(brisk) as wire:
        length = f"Content-Length: {len(body)}"
        wire.request("POST", "/v1/fragments/missing", "Content-Type: application/json", length)
        for start in range(0, len(body), 30_000):
            wire.send(body[start : start + 30_000])
            pause.wait(2 * PATIENCE_S)
        assert json.loads(wire.answer().body)["missing"] == ids


def test_a_sender_that_falls_silent_is_given_up(brisk: ServerProcess) -> None:
    fragment = make_long(91)
    with Wire(brisk) as wire:
        wire.send(head(fragment) + fragment.to_bytes()[:-1])
        assert wire.answer().status == 408


def test_nothing_stays_of_a_body_whose_sender_left(brisk: ServerProcess, data_dir: Path) -> None:
    fragment = make_long(101)
    before = stored(data_dir)
    with Wire(brisk) as wire:
        wire.send(head(fragment) + fragment.to_bytes()[: BATCH_BYTES + 200_000])
        wait_until(lambda: stored(data_dir) != before)
    wait_until(lambda: stored(data_dir) == before)


def test_connections_that_rest_hold_no_memory(brisk: ServerProcess) -> None:
    fragment = make_long(111)
    sent = head(fragment) + fragment.to_bytes()
    wires = [Wire(brisk) for _ in range(24)]
    with ExitStack() as opened, PeakMemory(brisk) as peak:
        for wire in wires:
            opened.enter_context(wire)
            wire.send(sent)
            assert wire.answer().status in (200, 201)
    assert peak.growth_bytes < len(wires) * BATCH_BYTES / 2


class Connection:
    """A connection in a loop of its own: gives its bytes in pieces of any size, unless paused."""

    def __init__(self, data: bytes, start: bytes, *, ends_early: bool = False) -> None:
        self._data = data
        self._ends_early = ends_early
        self._choose = random.Random(len(data))
        self.is_paused = False
        self.was_paused = asyncio.Event()
        self.protocol: object = None
        self._http = Mock()
        self.cycle = RequestResponseCycle(
            scope={},  # type: ignore[typeddict-item]
            transport=self,  # type: ignore[arg-type]
            flow=FlowControl(self),  # type: ignore[arg-type]
            logger=Mock(),
            access_logger=Mock(),
            access_log=False,
            default_headers=[],
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=True,
            on_response=lambda: None,
        )
        self.cycle.body += start
        self.bulk = BulkBody(self._http, self.cycle, len(data))

    def set_protocol(self, protocol: object) -> None:
        self.protocol = protocol

    def pause_reading(self) -> None:
        self.is_paused = True
        self.was_paused.set()

    def resume_reading(self) -> None:
        self.is_paused = False

    async def run(self) -> None:
        position = 0
        while self.protocol is self.bulk:
            if not self.is_paused:
                room = self.bulk.get_buffer(-1)
                size = min(len(room), self._choose.choice([1, 1000, 200_000, BATCH_BYTES]))
                room[:size] = self._data[position : position + size]
                position += size
                self.bulk.buffer_updated(size)
                if self._ends_early and position > len(self._data) // 2:
                    self.cycle.disconnected = True
                    self.cycle.message_event.set()
                    return
            await asyncio.sleep(0)
        assert self.protocol is self._http


@pytest.mark.parametrize("start", [b"", b"came with the head"])
def test_bytes_stay_as_they_are_until_a_slow_disk_has_them(start: bytes) -> None:
    data = random.Random(1).randbytes(10 * BATCH_BYTES + 12345)
    written = bytearray()

    def write(batch: memoryview) -> None:
        half = len(batch) // 2
        written.extend(batch[:half])
        threading.Event().wait(0.02)
        written.extend(batch[half:])

    async def go() -> None:
        connection = Connection(data, start)
        connection.bulk.take_over()
        feeding = asyncio.create_task(connection.run())
        # The first batch is there before anyone asks.
        await connection.was_paused.wait()
        body = chunks(connection.cycle.receive, limit=10**9, timeout_s=20)  # type: ignore[arg-type]
        assert await pour(body, write) == len(start) + len(data)
        await feeding

    asyncio.run(go())
    assert written == start + data


def test_a_sender_that_leaves_ends_a_long_body() -> None:
    async def go() -> None:
        connection = Connection(bytes(5 * BATCH_BYTES), b"", ends_early=True)
        connection.bulk.take_over()
        feeding = asyncio.create_task(connection.run())
        body = chunks(connection.cycle.receive, limit=10**9, timeout_s=20)  # type: ignore[arg-type]
        with pytest.raises(ClientDisconnect):
            await pour(body, lambda _: None)
        await feeding

    asyncio.run(go())
