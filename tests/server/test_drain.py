"""SIGTERM: what is under way is finished, nothing new is taken, and the status is 0."""

from __future__ import annotations

import socket
from pathlib import Path

import httpx2
from latentcrdt_server.child_process import ServerProcess

from latentcrdt.testing.fragments import make_fragment
from tests.server.wire import Wire, wait_until


def test_a_push_under_way_is_taken_in_and_nothing_new(tmp_path: Path) -> None:
    fragment = make_fragment(1, seq_len=100_000)
    data = fragment.to_bytes()
    path = "/v1/states/s/fragments"
    with ServerProcess(tmp_path / "data") as process, Wire(process) as wire:
        wire.request("POST", path, f"Content-Length: {len(data)}", body=data[: len(data) // 2])
        staging = tmp_path / "data" / ".staging"
        wait_until(lambda: any(p.stat().st_size for p in staging.glob("*/*")))
        process.terminate()
        wait_until(lambda: refuses(process.address))
        # uvicorn says so once it is past everything that it could cut off.
        wait_until(lambda: "Waiting for connections to close" in process.log_path.read_text())
        wire.send(data[len(data) // 2 :])
        answer = wire.answer()
        assert answer.status == 201
        assert answer.headers["connection"] == "close"
        assert process.wait() == 0
    with ServerProcess(tmp_path / "data") as again, httpx2.Client(base_url=again.url) as http:
        assert http.get(f"/v1/fragments/{fragment.fragment_id}").content == data
        assert len(http.get("/v1/states/s").json()["members"]) == 1


def test_a_push_that_never_ends_is_given_up_in_time(tmp_path: Path) -> None:
    data = make_fragment(1, seq_len=100_000).to_bytes()
    with (
        # Without the first limit, the second would end it only after the test has lost patience.
        ServerProcess(tmp_path / "data", shutdown_timeout_s=1, body_timeout_s=600) as process,
        Wire(process) as wire,
    ):
        length = f"Content-Length: {len(data)}"
        wire.request("POST", "/v1/states/s/fragments", length, body=data[: len(data) // 2])
        staging = tmp_path / "data" / ".staging"
        wait_until(lambda: any(p.stat().st_size for p in staging.glob("*/*")))
        process.terminate()
        assert process.wait() == 0
        assert not list(staging.glob("*/*"))


def refuses(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False
