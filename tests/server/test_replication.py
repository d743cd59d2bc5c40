"""Replication over HTTP: what one server tells another, and servers that keep each other equal."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from latentcrdt_server.child_process import ServerProcess

from latentcrdt.client.blocking import Client
from latentcrdt.client.remote_peer import RemotePeer
from latentcrdt.core.ids import StateName
from latentcrdt.core.state import EMPTY_ROOT, RETRACTED_ROOT, LatentState
from latentcrdt.core.sync.feed import Cursor
from latentcrdt.core.sync.messages import MAX_PREFIXES, Question
from latentcrdt.core.sync.roots import Roots
from latentcrdt.errors import CursorExpiredError, StateRetractedError
from latentcrdt.replication.anti_entropy import synchronise
from latentcrdt.replication.local_peer import LocalPeer
from latentcrdt.replication.replica import Replica
from latentcrdt.store.memory import MemoryStore
from latentcrdt.testing.fragments import make_fragment
from tests.server.conftest import FreshFragment
from tests.server.wire import wait_until

MSGPACK = "application/vnd.msgpack"


def eventually(condition: Callable[[], bool]) -> None:
    """Wait for what other processes do: it sends no event here."""
    wait_until(condition, within_s=60)


@pytest.fixture
def client(server: ServerProcess) -> Iterator[Client]:
    with Client(server.url) as client:
        yield client


def test_the_etag_of_the_roots_is_their_digest_and_304_still_tells_the_cursor(
    http: httpx2.Client, client: Client, state: str, fresh: FreshFragment
) -> None:
    client.push(state, fresh())
    answer = http.get("/v1/roots")
    roots = Roots.decode(answer.content)
    assert answer.headers["etag"] == f'"{roots.digest}"'
    assert roots.states[StateName(state)].root == client.state(state).root
    again = http.get("/v1/roots", headers={"if-none-match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.roots(roots.digest) == roots.cursor == Cursor.parse(again.headers["feed-cursor"])


def test_the_feed_tells_what_came_after_a_cursor(
    client: Client, state: str, fresh: FreshFragment
) -> None:
    before = client.changes(None)
    while not before.is_last:
        before = client.changes(before.cursor)
    fragment = fresh()
    client.push(state, fragment)
    page = client.changes(before.cursor)
    assert page.deltas == {StateName(state): LatentState([fragment.fragment_id])}
    assert client.changes(page.cursor).deltas == {}


def test_a_cursor_of_another_server_is_410(http: httpx2.Client, client: Client) -> None:
    assert http.get("/v1/feed", params={"after": f"{0:016x}-0"}).status_code == 410
    with pytest.raises(CursorExpiredError):
        client.changes(Cursor("f" * 16, 7))


@pytest.mark.parametrize("after", ["", "7", "x-1", f"{0:016x}-", f"{0:016X}F-1"])
def test_a_malformed_cursor_is_refused(http: httpx2.Client, after: str) -> None:
    answer = http.get("/v1/feed", params={"after": after})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("body", "media_type", "status"),
    [
        (b"", MSGPACK, 400),
        (b"\xc1", MSGPACK, 400),
        (Question(bytes(16), ("",)).encode() + b"\0", MSGPACK, 400),
        (Question(bytes(16), ("G",)).encode(), MSGPACK, 400),
        (Question(bytes(15), ("",)).encode(), MSGPACK, 400),
        (Question(bytes(16), ("",) * (MAX_PREFIXES + 1)).encode(), MSGPACK, 400),
        (bytes(2**19 + 1), MSGPACK, 413),
        (Question(bytes(16), ("",)).encode(), "application/json", 415),
    ],
)
def test_a_malformed_question_is_refused(
    http: httpx2.Client, state: str, body: bytes, media_type: str, status: int
) -> None:
    answer = http.post(
        f"/v1/states/{state}/sync", content=body, headers={"content-type": media_type}
    )
    assert answer.status_code == status


def test_an_unknown_state_compares_as_an_empty_one(client: Client, state: str) -> None:
    assert RemotePeer(client).state(StateName(state)) == LatentState()


def test_a_replica_of_this_process_and_a_server_become_equal(tmp_path: Path, state: str) -> None:
    ours = Replica(MemoryStore())
    mine = [make_fragment(seed) for seed in range(20)]
    theirs = [make_fragment(seed) for seed in range(10, 40)]
    with ServerProcess(tmp_path / "data") as server, Client(server.url) as client:
        for fragment in mine:
            ours.push(StateName(state), fragment)
        for fragment in theirs:
            client.push(state, fragment)
        done = synchronise(LocalPeer(ours), RemotePeer(client))
        assert done.is_equal
        assert (done.taken.num_copied, done.given.num_copied) == (20, 10)
        assert client.state(state).root == ours.state(StateName(state)).root
        assert RemotePeer(client).state(StateName(state)) == ours.state(StateName(state))
        follow = synchronise(LocalPeer(ours), RemotePeer(client), done.bookmark)
        assert follow.is_equal
        assert follow.taken.num_copied == follow.given.num_copied == 0


def test_servers_that_are_peers_keep_each_other_equal(tmp_path: Path, state: str) -> None:
    """One names the other, and both get what either has: fragments, lifetimes, retractions."""
    seeds = itertools.count()
    with ServerProcess(tmp_path / "a") as first:
        peers = f'["{first.url}"]'
        with ServerProcess(tmp_path / "b", peers=peers, sync_interval_s=0.05) as second:
            clients = [Client(first.url), Client(second.url)]
            for _ in range(3):
                for client in clients:
                    client.push(state, make_fragment(next(seeds)))
            roots = [c.roots for c in clients]

            def equal() -> bool:
                a, b = roots[0](), roots[1]()
                return isinstance(a, Roots) and isinstance(b, Roots) and a.digest == b.digest

            eventually(lambda: equal() and len(clients[0].state(state).members) == 6)
            assert clients[0].render(state).plan == clients[1].render(state).plan
            end = int(time.time()) + 3600
            clients[0].declare("lasting", expires_at=end)
            eventually(lambda: "lasting" in {s.name for s in clients[1].states()})
            eventually(equal)
            clients[0].retract(state)
            eventually(lambda: state not in {s.name for s in clients[1].states()})
            with pytest.raises(StateRetractedError):
                clients[1].push(state, make_fragment(0))
            (document,) = httpx2.get(f"{second.url}/v1/peers").json()["peers"]
            assert document["url"] == first.url
            assert document["bytes_received"] > 0
            assert document["bytes_sent"] > 0
            eventually(lambda: httpx2.get(f"{second.url}/v1/peers").json()["peers"][0]["is_equal"])
            for client in clients:
                client.close()


def test_a_peer_that_is_away_is_reported_and_caught_up_with_when_it_is_back(
    tmp_path: Path, state: str
) -> None:
    away = ServerProcess(tmp_path / "a")
    port = away.address[1]
    peers = f'["{away.url}"]'
    away.stop()
    with ServerProcess(tmp_path / "b", peers=peers, sync_interval_s=0.05) as here:
        with Client(here.url) as client:
            client.push(state, make_fragment(1))
        status = lambda: httpx2.get(f"{here.url}/v1/peers").json()["peers"][0]  # noqa: E731
        eventually(lambda: status()["error"] == "connection_failed")
        assert status()["is_equal"] is None
        with ServerProcess(tmp_path / "a", port=port) as back, Client(back.url) as client:
            eventually(lambda: client.roots(client.roots().digest) and bool(client.states()))  # type: ignore[union-attr]
            eventually(lambda: len(client.state(state).members) == 1)
            eventually(lambda: status()["error"] is None and status()["is_equal"])


def test_retracting_ends_a_state_for_good(
    http: httpx2.Client, client: Client, state: str, fresh: FreshFragment
) -> None:
    fragment = fresh()
    client.push(state, fragment)
    answer = http.delete(f"/v1/states/{state}")
    assert (answer.status_code, answer.json()) == (200, {"name": state, "retracted": True})
    assert http.delete(f"/v1/states/{state}").json() == {"name": state, "retracted": False}
    for answer in (
        http.get(f"/v1/states/{state}"),
        http.get(f"/v1/states/{state}/plan"),
        http.put(f"/v1/states/{state}"),
        http.put(f"/v1/states/{state}/members/{fragment.fragment_id}"),
        http.post(
            f"/v1/states/{state}/fragments",
            content=fragment.to_bytes(),
            headers={"content-type": "application/octet-stream"},
        ),
    ):
        assert (answer.status_code, answer.json()["code"]) == (410, "state_retracted")
    assert http.get(f"/v1/fragments/{fragment.fragment_id}").status_code == 404
    roots = client.roots()
    assert isinstance(roots, Roots)
    assert roots.states[StateName(state)].root == RETRACTED_ROOT


def test_a_state_ends_when_its_lifetime_does(http: httpx2.Client, state: str) -> None:
    now = int(time.time())
    assert http.put(f"/v1/states/{state}", params={"expires_at": now + 3600}).status_code == 201
    assert http.put(f"/v1/states/{state}", params={"expires_at": now - 1}).status_code == 200
    assert http.get(f"/v1/states/{state}").json()["root"] == str(EMPTY_ROOT)
    ending = f"{state}-ending"
    http.put(f"/v1/states/{ending}", params={"expires_at": now - 1})
    eventually(lambda: http.get(f"/v1/states/{ending}").status_code == 410)


@pytest.mark.parametrize("end", ["-1", "soon", "1.5", "9" * 30, ""])
def test_a_lifetime_that_is_no_time_is_refused(http: httpx2.Client, state: str, end: str) -> None:
    answer = http.put(f"/v1/states/{state}", params={"expires_at": end})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
