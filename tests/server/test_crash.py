"""What a kill leaves behind, and what a polite stop finishes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from latentcrdt_server.child_process import ServerProcess

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.placement import canonical_order, place
from latentcrdt.core.state import LatentState
from latentcrdt.render.sort_key import sort_key
from latentcrdt.render.stream import render
from latentcrdt.testing.fragments import make_fragment, make_geometry
from tests.server.wire import Wire, push, stored, wait_until


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path / "data") as process:
        yield process


def test_a_kill_during_pushes_leaves_every_acknowledged_fragment_and_nothing_half(
    victim: ServerProcess, tmp_path: Path
) -> None:
    fragments = [make_fragment(seed, seq_len=300) for seed in range(400)]
    half = make_fragment(1000, seq_len=100_000)
    acknowledged: list[Fragment] = []

    def keep_pushing(mine: list[Fragment]) -> None:
        with httpx2.Client(base_url=victim.url) as http:
            for fragment in mine:
                try:
                    answer = push(http, "s", fragment)
                except httpx2.TransportError:
                    return
                assert answer.status_code == 201
                acknowledged.append(fragment)

    with Wire(victim) as wire, ThreadPoolExecutor(4) as pool:
        data = half.to_bytes()
        wire.request("POST", "/v1/states/s/fragments", f"Content-Length: {len(data)}")
        wire.send(data[: len(data) // 2])
        pushers = [pool.submit(keep_pushing, fragments[i::4]) for i in range(4)]
        staging = tmp_path / "data" / ".staging"
        wait_until(lambda: any(p.stat().st_size > 2**22 for p in staging.glob("*/*")))
        wait_until(lambda: len(acknowledged) >= 20)
        victim.kill()
        for pusher in pushers:
            pusher.result()

    assert 20 <= len(acknowledged) < len(fragments)
    with ServerProcess(tmp_path / "data") as again, httpx2.Client(base_url=again.url) as http:
        document = http.get("/v1/states/s").json()
        members = {m["id"] for m in document["members"]}
        assert members >= {str(f.fragment_id) for f in acknowledged}
        assert members <= {str(f.fragment_id) for f in fragments}
        assert http.get(f"/v1/fragments/{half.fragment_id}").status_code == 404
        by_id = {str(f.fragment_id): f for f in fragments}
        for member in members:
            assert http.get(f"/v1/fragments/{member}").content == by_id[member].to_bytes()
        present = [f.fragment_id for f in fragments if str(f.fragment_id) in members]
        assert document["root"] == str(LatentState(present).root)
        assert {p for p in stored(tmp_path / "data") if p.startswith(".staging")} == set()
        assert push(http, "s", half).status_code == 201


def test_sigterm_finishes_the_render_under_way_and_exits_with_0(victim: ServerProcess) -> None:
    geometry = make_geometry(num_layers=8, num_kv_heads=8, head_dim=64)
    held = [make_fragment(seed, geometry=geometry, seq_len=1_000) for seed in (1, 2)]
    with httpx2.Client(base_url=victim.url) as http:
        for fragment in held:
            assert push(http, "s", fragment).status_code == 201
    by_id = {f.fragment_id: f for f in held}
    order = canonical_order((sort_key(f), f.fragment_id) for f in held)
    expected = render(place([by_id[i].header for i in order]), by_id).to_bytes()
    with Wire(victim) as wire:
        wire.request("GET", "/v1/states/s/render")
        wire.read_until(b"\r\n\r\n")
        victim.terminate()
        wait_until(lambda: not accepts(victim))
        assert wire.read(len(expected)) == expected
        assert wire.read_to_end() == b""
    assert victim.wait() == 0


def test_sigterm_of_an_idle_server_ends_it_at_once_and_frees_its_store(
    victim: ServerProcess, tmp_path: Path
) -> None:
    with Wire(victim) as idle:
        idle.request("GET", "/healthz")
        assert idle.answer().status == 200
        assert victim.stop() == 0
    with ServerProcess(tmp_path / "data") as again:
        assert httpx2.get(again.url + "/readyz").status_code == 200


def accepts(server: ServerProcess) -> bool:
    try:
        socket.create_connection(server.address, timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True
