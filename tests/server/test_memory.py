"""Large bodies in both directions: memory does not follow their size."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest
from latentcrdt_server.child_process import ServerProcess

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.placement import place
from latentcrdt.core.rendered import Render
from latentcrdt.render.splitmix import float_bits
from latentcrdt.render.stream import render
from latentcrdt.testing.fragments import make_geometry
from tests.server.wire import FRAGMENT_TYPE, PeakMemory, Wire, memory_bytes, push, wait_until

MIB = 2**20
ALLOWED_GROWTH = 64 * MIB
"""Two batches, a piece of the store's, an engine's scratch, allocator slack; far below a body."""

GEOMETRY = make_geometry(num_layers=10, num_kv_heads=4, head_dim=64)


def make_large(seed: int, seq_len: int) -> Fragment:
    """Return a fragment of ``seq_len`` * 10 KiB: one section's values serve for all."""
    section = float_bits(seed, 4 * seq_len * 64, GEOMETRY.dtype)
    return Fragment.build(GEOMETRY, [(section, section)] * 10, start=0, seq_len=seq_len)


@pytest.fixture(scope="module")
def large_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("large") / "data") as process:
        with httpx2.Client(base_url=process.url) as http:
            # The first push and render load what they need; that is not the body's doing.
            push(http, "warm", make_large(1, 500))
            push(http, "warm", make_large(2, 500))
            http.get("/v1/states/warm/render")
        yield process


def test_a_fragment_of_200_megabytes_is_taken_and_given_in_bounded_memory(
    large_server: ServerProcess,
) -> None:
    fragment = make_large(3, 20_000)
    body = fragment.to_bytes()
    assert len(body) > 200_000_000
    with PeakMemory(large_server) as peak, Wire(large_server) as wire:
        wire.request(
            "POST",
            "/v1/states/large/fragments",
            f"Content-Type: {FRAGMENT_TYPE}",
            f"Content-Length: {len(body)}",
        )
        wire.send(body)
        assert wire.answer().status == 201
    assert peak.growth_bytes < ALLOWED_GROWTH
    with PeakMemory(large_server) as peak, Wire(large_server) as wire:
        wire.request("GET", f"/v1/fragments/{fragment.fragment_id}")
        assert wire.answer().body == body
    assert peak.growth_bytes < ALLOWED_GROWTH


def test_readers_that_do_not_read_hold_no_more_than_a_few_slices_each(
    large_server: ServerProcess,
) -> None:
    held = {f.fragment_id: f for f in (make_large(4, 4_000), make_large(5, 4_000))}
    with httpx2.Client(base_url=large_server.url) as http:
        for fragment in held.values():
            push(http, "slow", fragment)
        order: list[FragmentId] = sorted(held)
        path = f"/v1/states/slow/render?order={','.join(map(str, order))}"
        expected = render(place([held[i].header for i in order]), held)
        before = memory_bytes(large_server.pid)
        wires = [Wire(large_server) for _ in range(4)]
        for wire in wires:
            wire.request("GET", path)
            wire.read_until(b"\r\n\r\n")
        # Another request is answered while they stand still, and their buffers have filled.
        seen = [before]

        def settled() -> bool:
            assert http.get("/healthz").status_code == 200
            seen.append(memory_bytes(large_server.pid))
            return len(seen) > 30 and max(seen[-20:]) - min(seen[-20:]) < MIB

        wait_until(settled)
        assert max(seen) - before < ALLOWED_GROWTH
        stream = wires[0].read(len(expected.to_bytes()))
        assert Render.from_buffer(stream).digest == expected.digest
        # The others leave in the middle: the server notices, and its memory stays where it was.
        for wire in wires:
            wire.close()
        name = "latentcrdt_render_seconds_count 5.0"
        wait_until(lambda: name in http.get("/metrics").text)
        assert memory_bytes(large_server.pid) - before < ALLOWED_GROWTH


def test_branches_of_100_megabytes_are_merged_in_bounded_memory(
    large_server: ServerProcess,
) -> None:
    with httpx2.Client(base_url=large_server.url, timeout=300) as http:
        for fragment in (make_large(6, 10_000), make_large(7, 10_000)):
            push(http, "fork", fragment)
        http.get("/v1/states/warm/render", params={"merge": "v-only"})
        with PeakMemory(large_server) as peak:
            head = http.head("/v1/states/fork/render", params={"merge": "v-only"})
        assert int(head.headers["content-length"]) > 100_000_000
    assert peak.growth_bytes < ALLOWED_GROWTH
