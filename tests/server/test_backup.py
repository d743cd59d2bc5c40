"""A data directory that is copied while its server takes pushes (docs/operating.md)."""

from __future__ import annotations

import itertools
import shutil
import threading
from pathlib import Path

import httpx2
from latentcrdt_server.child_process import ServerProcess

from latentcrdt.testing.fragments import make_fragment
from tests.server.wire import push, wait_until


def test_a_copy_with_memberships_first_has_all_that_was_acknowledged(tmp_path: Path) -> None:
    acknowledged: list[str] = []
    stopped = threading.Event()
    with ServerProcess(tmp_path / "data") as process:

        def keep_pushing() -> None:
            with httpx2.Client(base_url=process.url, timeout=60) as http:
                for seed in itertools.count():
                    if stopped.is_set():
                        return
                    acknowledged.append(push(http, "s", make_fragment(seed)).json()["id"])

        pusher = threading.Thread(target=keep_pushing)
        pusher.start()
        try:
            wait_until(lambda: len(acknowledged) > 50)
            before = set(acknowledged)
            shutil.copytree(tmp_path / "data" / "states", tmp_path / "copy" / "states")
            shutil.copytree(tmp_path / "data" / "obj", tmp_path / "copy" / "obj")
            copied = len(acknowledged)
            wait_until(lambda: len(acknowledged) > copied)
        finally:
            stopped.set()
            pusher.join()
    with ServerProcess(tmp_path / "copy") as again, httpx2.Client(base_url=again.url) as http:
        # Listing reads every member's header: one whose fragment was not copied would be a 404.
        members = {m["id"] for m in http.get("/v1/states/s").raise_for_status().json()["members"]}
        assert before <= members <= set(acknowledged)
        for fragment_id in members:
            assert http.get(f"/v1/fragments/{fragment_id}").status_code == 200
        assert push(http, "s", make_fragment(1_000_000)).status_code == 201
