"""What a server does to its process before it serves."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest
from latentcrdt_server import process
from latentcrdt_server.settings import Settings


def test_what_a_server_begins_with_is_left_out_of_garbage_collections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen = []

    async def serve(self: process.AnnouncingServer) -> None:
        frozen.append((gc.get_freeze_count(), gc.isenabled()))

    monkeypatch.setattr(process.AnnouncingServer, "serve", serve)
    try:
        asyncio.run(process._serve(Settings(data_dir=tmp_path)))
    finally:
        gc.unfreeze()
    ((count, is_enabled),) = frozen
    assert count > 10_000
    assert is_enabled
