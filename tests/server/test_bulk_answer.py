"""Long answers pass the event loop by: where they end, and who writes when, stays beyond doubt."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import httpx2
import pytest
from latentcrdt_server.bulk_answer import LEAST_BULK_BYTES, TURN_BYTES, BulkAnswer
from latentcrdt_server.child_process import ServerProcess
from uvicorn.protocols.http.flow_control import FlowControl

from latentcrdt.core.fragment import Fragment
from latentcrdt.testing.fragments import make_fragment, make_geometry
from tests.server.test_drain import refuses
from tests.server.wire import PeakMemory, Wire, push, wait_until

MIB = 2**20
RENDER = "/v1/states/s/render"
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def fragment() -> Fragment:
    """Return one that takes several turns to send."""
    geometry = make_geometry(num_layers=20, num_kv_heads=8, head_dim=64)
    made = make_fragment(1, geometry=geometry, start=3, seq_len=2_000)
    assert made.num_bytes > 2 * TURN_BYTES
    return made


@pytest.fixture(scope="module")
def holder(tmp_path_factory: pytest.TempPathFactory, fragment: Fragment) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("bulk") / "data") as process:
        with httpx2.Client(base_url=process.url) as http:
            assert push(http, "s", fragment).status_code == 201
            http.get(RENDER)
        yield process


class SlowTransport:
    """A transport that has written nothing of the head yet, and tells its flow control so."""

    def __init__(self, sock: socket.socket, head: bytes) -> None:
        self._sock = sock
        self._head = head
        self.flow = FlowControl(self)  # type: ignore[arg-type]

    def set_write_buffer_limits(self, high: int | None = None) -> None:
        if high == 0:
            self.flow.pause_writing()
            asyncio.get_running_loop().call_later(0.05, self._write)

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, _name: str) -> socket.socket:
        return self._sock

    def _write(self) -> None:
        self._sock.send(self._head)
        self.flow.resume_writing()


def test_a_body_waits_for_what_the_transport_has_yet_to_write() -> None:
    async def go() -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            transport = SlowTransport(ours, b"head, ")
            cycle = Mock(transport=transport, flow=transport.flow, expected_content_length=4)
            slices = iter([memoryview(b"bo"), memoryview(b"dy")])
            gone = asyncio.get_running_loop().create_future()
            await BulkAnswer(cycle, 20).send(lambda: next(slices, None), gone)
            assert theirs.recv(100) == b"head, body"
            assert cycle.expected_content_length == 0

    asyncio.run(go())


def log_lines(server: ServerProcess) -> list[dict[str, object]]:
    return [json.loads(line) for line in server.log_path.read_text().splitlines()]


def test_requests_behind_a_long_answer_are_answered_in_their_turn(
    holder: ServerProcess, fragment: Fragment
) -> None:
    """All are sent at once: the second waits in the parser while a worker has the socket."""
    path = f"/v1/fragments/{fragment.fragment_id}"
    whole = fragment.to_bytes()
    with Wire(holder) as wire:
        wire.request("GET", path)
        wire.request("HEAD", path)
        wire.request("GET", path, f"Range: bytes=5-{LEAST_BULK_BYTES + 4}")
        wire.request("GET", path, "Range: bytes=7-9")
        wire.request("GET", path)
        wire.send(HEALTH)
        assert wire.answer().body == whole
        head = wire.read_until(b"\r\n\r\n")
        assert f"content-length: {len(whole)}".encode() in head.lower()
        part = wire.answer()
        assert (part.status, part.body) == (206, whole[5 : LEAST_BULK_BYTES + 5])
        assert wire.answer().body == whole[7:10]
        assert wire.answer().body == whole
        assert wire.read_to_end().startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("num_bytes", [LEAST_BULK_BYTES - 1, LEAST_BULK_BYTES])
def test_a_connection_is_used_again_after_an_answer_of_either_kind(
    holder: ServerProcess, fragment: Fragment, num_bytes: int
) -> None:
    whole = fragment.to_bytes()
    with Wire(holder) as wire:
        for start in (0, 1000, len(whole) - num_bytes):
            stop = start + num_bytes
            path = f"/v1/fragments/{fragment.fragment_id}"
            wire.request("GET", path, f"Range: bytes={start}-{stop - 1}")
            assert wire.answer().body == whole[start:stop]


def test_an_answer_after_which_the_connection_closes_is_whole(
    holder: ServerProcess, fragment: Fragment
) -> None:
    with Wire(holder) as wire:
        wire.request("GET", f"/v1/fragments/{fragment.fragment_id}", "Connection: close")
        assert wire.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
        assert wire.read_to_end() == fragment.to_bytes()


def test_noise_behind_a_request_is_not_answered_into_its_answer(
    holder: ServerProcess, fragment: Fragment
) -> None:
    with Wire(holder) as wire:
        wire.request("GET", f"/v1/fragments/{fragment.fragment_id}")
        wire.read_until(b"\r\n\r\n")
        wire.send(b"\x00 no request\r\n\r\n")
        assert fragment.to_bytes().startswith(wire.read_to_end())


@pytest.mark.parametrize("waits_in_line", [False, True])
def test_a_reader_that_leaves_is_noticed(
    holder: ServerProcess, fragment: Fragment, waits_in_line: bool
) -> None:
    """Also with a request behind the one being answered: uvicorn then tells only that one."""

    def ended(path: str) -> list[dict[str, object]]:
        lines = [line for line in log_lines(holder) if line.get("path") == path]
        return [line for line in lines if 0 < line["bytes_out"] < fragment.num_bytes]  # type: ignore[operator]

    path = f"/v1/fragments/{fragment.fragment_id}"
    before = len(ended(path))
    with Wire(holder) as wire:
        wire.request("GET", path)
        if waits_in_line:
            wire.request("GET", "/healthz")
        wire.read(1000)
    wait_until(lambda: len(ended(path)) > before)
    assert ended(path)[-1]["client_left"]
    assert not [line for line in log_lines(holder) if line["level"] == "error"]
    with httpx2.Client(base_url=holder.url) as http:
        assert http.get(path).content == fragment.to_bytes()


def test_what_was_sent_is_counted(holder: ServerProcess, fragment: Fragment) -> None:
    with httpx2.Client(base_url=holder.url) as http:
        http.get(f"/v1/fragments/{fragment.fragment_id}", headers={"x-request-id": "counted"})

    def found() -> list[dict[str, object]]:
        return [line for line in log_lines(holder) if line.get("request_id") == "counted"]

    wait_until(lambda: bool(found()))
    assert found()[0]["bytes_out"] == fragment.num_bytes


def test_a_slow_reader_gets_a_render_whole_and_the_server_holds_none_of_it(
    holder: ServerProcess, fragment: Fragment
) -> None:
    """The reader pauses again and again, for longer than a worker waits for it."""
    with httpx2.Client(base_url=holder.url) as http:
        expected = http.get(RENDER).content
    pause = threading.Event()
    with PeakMemory(holder) as peak, Wire(holder) as wire:
        wire.request("GET", RENDER)
        wire.read_until(b"\r\n\r\n")
        got = b""
        while len(got) < len(expected):
            got += wire.read(min(4 * MIB, len(expected) - len(got)))
            pause.wait(0.05)
        assert got == expected
    assert peak.growth_bytes < 12 * MIB


def test_sigterm_lets_a_long_answer_finish(tmp_path: Path, fragment: Fragment) -> None:
    with ServerProcess(tmp_path / "data") as process:
        with httpx2.Client(base_url=process.url) as http:
            assert push(http, "s", fragment).status_code == 201
        with Wire(process) as wire:
            wire.request("GET", f"/v1/fragments/{fragment.fragment_id}")
            start = wire.read(1000)
            process.terminate()
            wait_until(lambda: refuses(process.address))
            got = start + wire.read_to_end()
        assert got.endswith(fragment.to_bytes())
        assert process.wait() == 0
