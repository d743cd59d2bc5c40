"""Server processes over one bucket of a real S3 service, and what their deaths cost."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from latentcrdt_server.child_process import ServerProcess
from typer.testing import CliRunner

from latentcrdt.cli.app import app
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.state import LatentState
from latentcrdt.errors import ConnectionFailedError
from latentcrdt.testing.fragments import make_fragment
from tests.object_store.pushers import Pushers
from tests.object_store.seaweed import BUCKET, SeaweedFS
from tests.server.wire import push, wait_until

_prefixes = itertools.count()


@contextmanager
def servers(path: Path, count: int) -> Iterator[list[ServerProcess]]:
    """Start servers over a part of the bucket that no one else uses, each with its own cache."""
    store = f"s3://{BUCKET}/servers-{next(_prefixes)}"
    processes = [ServerProcess(path / f"server-{n}", store=store) for n in range(count)]
    try:
        yield processes
    finally:
        for process in processes:
            process.stop()


def root(server: ServerProcess) -> str | None:
    answer = httpx2.get(f"{server.url}/v1/states", timeout=60)
    summaries = {s["name"]: s["root"] for s in answer.raise_for_status().json()["states"]}
    return summaries.get("s")


def assert_holds_all(server: ServerProcess, acknowledged: list[Fragment]) -> None:
    """See that every fragment is a member, and comes back as it was sent."""
    with httpx2.Client(base_url=server.url, timeout=60) as http:
        members = {m["id"] for m in http.get("/v1/states/s").raise_for_status().json()["members"]}
        assert {str(f.fragment_id) for f in acknowledged} <= members
        for fragment in acknowledged:
            got = http.get(f"/v1/fragments/{fragment.fragment_id}")
            assert got.content == fragment.to_bytes()


@pytest.mark.usefixtures("seaweed")
def test_two_servers_that_are_written_to_at_once_agree_and_render_the_same(tmp_path: Path) -> None:
    with servers(tmp_path, 2) as both:
        pushers = Pushers([server.url for server in both], num_threads=4)
        pushers.wait_for(60)
        pushers.stop()
        assert pushers.num_failed == 0
        expected = str(LatentState(f.fragment_id for f in pushers.acknowledged).root)
        for server in both:
            wait_until(lambda server=server: root(server) == expected, within_s=10)
        renders = [httpx2.get(f"{server.url}/v1/states/s/render", timeout=60) for server in both]
        assert renders[0].status_code == 200
        assert renders[0].headers["etag"] == renders[1].headers["etag"]
        assert renders[0].content == renders[1].content


@pytest.mark.usefixtures("seaweed")
def test_a_state_retracted_on_one_server_is_gone_from_the_other_and_from_the_bucket(
    tmp_path: Path,
) -> None:
    fragment = make_fragment(1)
    with servers(tmp_path, 2) as (one, other):
        assert push(httpx2.Client(base_url=one.url), "s", fragment).status_code == 201
        wait_until(lambda: root(other) is not None, within_s=10)
        assert httpx2.get(f"{other.url}/v1/fragments/{fragment.fragment_id}").status_code == 200
        assert httpx2.delete(f"{other.url}/v1/states/s").is_success
        wait_until(lambda: root(one) is None, within_s=10)
        for server in (one, other):
            path = f"{server.url}/v1/fragments/{fragment.fragment_id}"
            wait_until(lambda path=path: httpx2.get(path).status_code == 404, within_s=10)


@pytest.mark.usefixtures("seaweed")
def test_a_killed_server_takes_nothing_acknowledged_with_it(tmp_path: Path) -> None:
    with servers(tmp_path, 2) as (victim, survivor):
        pushers = Pushers([victim.url, survivor.url], num_threads=4)
        pushers.wait_for(40)
        victim.kill()
        pushers.wait_for(len(pushers.acknowledged) + 40)
        pushers.stop()
        assert pushers.num_failed >= 1
        wait_until(holds(survivor, pushers.acknowledged), within_s=10)
        assert_holds_all(survivor, pushers.acknowledged)


def test_a_killed_volume_server_takes_nothing_acknowledged_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three that hold everything twice."""
    with SeaweedFS(tmp_path / "seaweed") as service:
        for name, value in service.environment.items():
            monkeypatch.setenv(name, value)
        service.wait_until_writable()
        with servers(tmp_path, 3) as (*pushed_to, fresh):
            pushers = Pushers([server.url for server in pushed_to], num_threads=4)
            pushers.wait_for(40)
            service.volumes[0].kill()
            pushers.wait_for(len(pushers.acknowledged) + 40)
            pushers.stop()
            # It pushed nothing, so its cache is empty.
            wait_until(holds(fresh, pushers.acknowledged), within_s=20)
            assert_holds_all(fresh, pushers.acknowledged)


@pytest.mark.usefixtures("seaweed")
def test_a_server_over_a_bucket_keeps_every_promise_of_the_api(tmp_path: Path) -> None:
    with servers(tmp_path, 1) as (server,):
        ran = CliRunner().invoke(app, ["conformance", server.url])
        assert ran.exit_code == 0, ran.stdout


@pytest.mark.usefixtures("seaweed")
def test_a_bucket_that_is_not_there_is_said_at_the_start(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data", store="s3://no-such-bucket/prefix") as server:
        with pytest.raises(ConnectionFailedError, match=r"store_failed.*NoSuchBucket"):
            _ = server.url
        assert server.wait() == 1


def holds(server: ServerProcess, acknowledged: list[Fragment]) -> Callable[[], bool]:
    """Return a question: has the server heard of all of them?"""
    wanted = {str(f.fragment_id) for f in acknowledged}

    def ask() -> bool:
        answer = httpx2.get(f"{server.url}/v1/states/s", timeout=60)
        return answer.is_success and wanted <= {m["id"] for m in answer.json()["members"]}

    return ask
