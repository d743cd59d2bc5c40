"""Readers that take nothing are let go, with all that was kept for them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from latentcrdt_server.child_process import ServerProcess

from latentcrdt.core.fragment import Fragment
from latentcrdt.testing.fragments import make_fragment, make_geometry
from tests.server.wire import Wire, memory_bytes, push, wait_until

MIB = 2**20
NUM_STREAMS = 6
GEOMETRY = make_geometry(num_layers=20, num_kv_heads=8, head_dim=64)
RENDER = "/v1/states/s/render"


@pytest.fixture(scope="module")
def fragments() -> list[Fragment]:
    return [make_fragment(seed, geometry=GEOMETRY, seq_len=1_000) for seed in (1, 2)]


@pytest.fixture
def impatient(tmp_path: Path, fragments: list[Fragment]) -> Iterator[ServerProcess]:
    limits = {"body_timeout_s": 1.5, "max_streams": NUM_STREAMS, "shutdown_timeout_s": 30}
    with ServerProcess(tmp_path / "data", **limits) as process:
        with httpx2.Client(base_url=process.url) as http:
            for fragment in fragments:
                assert push(http, "s", fragment).status_code == 201
        yield process


def stall(server: ServerProcess, count: int) -> list[Wire]:
    wires = [Wire(server) for _ in range(count)]
    for wire in wires:
        wire.request("GET", RENDER)
        assert wire.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
    return wires


def test_readers_that_stand_still_are_cut_off_and_their_memory_comes_back(
    impatient: ServerProcess,
) -> None:
    with httpx2.Client(base_url=impatient.url) as http:
        whole = http.get(RENDER).content
        before = memory_bytes(impatient.pid)
        wires = stall(impatient, NUM_STREAMS)
        refused = http.get(RENDER)
        assert (refused.status_code, refused.json()["code"]) == (429, "busy")
        assert refused.headers["retry-after"] == "1"
        assert memory_bytes(impatient.pid) - before < NUM_STREAMS * 12 * MIB

        def ended(count: float) -> bool:
            return f"latentcrdt_render_seconds_count {count}" in http.get("/metrics").text

        wait_until(lambda: ended(1.0 + NUM_STREAMS))
        # As many again: what the first held is used once more, so it was let go.
        wires += stall(impatient, NUM_STREAMS)
        assert memory_bytes(impatient.pid) - before < NUM_STREAMS * 12 * MIB
        wait_until(lambda: ended(1.0 + 2 * NUM_STREAMS))
        assert http.get(RENDER).content == whole
    log = impatient.log_path.read_text()
    assert log.count('"reader stalled"') == 2 * NUM_STREAMS
    assert '"error"' not in log
    for wire in wires:
        wire.close()


def test_a_reader_that_is_slow_but_reads_gets_everything(impatient: ServerProcess) -> None:
    """It takes longer than the deadline in all, and less between two pieces."""
    (wire,) = stall(impatient, 1)
    with httpx2.Client(base_url=impatient.url) as http:
        length = int(http.head(RENDER).headers["content-length"])
    taken, pause = 0, threading.Event()
    while taken < length:
        taken += len(wire.read(min(length - taken, length // 8 + 1)))
        pause.wait(0.4)
    wire.close()


def test_sigterm_lets_stalled_readers_go_without_a_traceback(tmp_path: Path) -> None:
    limits = {"shutdown_timeout_s": 1}
    with ServerProcess(tmp_path / "data", **limits) as server:
        with httpx2.Client(base_url=server.url) as http:
            for seed in (1, 2):
                push(http, "s", make_fragment(seed, geometry=GEOMETRY, seq_len=1_000))
        wires = stall(server, 3)
        assert server.stop() == 0
        for wire in wires:
            wire.close()
    lines = server.log_path.read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    assert not [e for e in entries if "exception" in e or "exc_info" in e]
    (error,) = [e for e in entries if e["level"] == "error"]
    assert error["event"].startswith("Cancel 3 running task(s)")
    assert entries[-1]["event"] == "closed"
