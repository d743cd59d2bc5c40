"""Large fragments through a server and its bucket: memory does not follow their size."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest
from latentcrdt_server.child_process import ServerProcess

from tests.object_store.seaweed import BUCKET
from tests.server.test_memory import MIB, make_large
from tests.server.wire import PeakMemory, Wire, push

ALLOWED_GROWTH = 96 * MIB
"""Four parts of 8 MiB on their way out, or three pieces of 4 MiB in; and allocator slack."""


@pytest.mark.usefixtures("seaweed")
def test_a_fragment_of_200_megabytes_passes_through_two_servers_in_bounded_memory(
    tmp_path: Path,
) -> None:
    fragment = make_large(3, 20_000)
    body = fragment.to_bytes()
    assert len(body) > 200_000_000
    store = f"s3://{BUCKET}/memory"
    with (
        ServerProcess(tmp_path / "taking", store=store) as taking,
        ServerProcess(tmp_path / "giving", store=store) as giving,
    ):
        for server in (taking, giving):
            with httpx2.Client(base_url=server.url, timeout=60) as http:
                # The first request loads what it needs; that is not the body's doing.
                small = make_large(1, 500)
                push(http, "warm", small)
                http.get(f"/v1/fragments/{small.fragment_id}")
        with PeakMemory(taking) as peak, httpx2.Client(base_url=taking.url, timeout=60) as http:
            assert push(http, "large", body).status_code == 201
        assert peak.growth_bytes < ALLOWED_GROWTH
        with PeakMemory(giving) as peak, Wire(giving) as wire:
            wire.request("GET", f"/v1/fragments/{fragment.fragment_id}")
            answer = wire.answer()
            assert answer.status == 200
            assert answer.body == body
        assert peak.growth_bytes < ALLOWED_GROWTH
