"""Quotas, on a real server: what is refused leaves nothing, and a restart forgets nothing."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx2
import pytest
from latentcrdt_server.child_process import ServerProcess

from latentcrdt.testing.fragments import make_fragment
from tests.server.conftest import FreshFragment
from tests.server.guards import client_of, secret_of, write_tokens
from tests.server.wire import Wire, push, stored, wait_until

SIZE = len(make_fragment(0).to_bytes())


@pytest.fixture
def metered(tmp_path: Path) -> ServerProcess:
    """Return a server on a store of its own; whoever uses it starts and stops it."""
    tokens = write_tokens(
        tmp_path / "tokens",
        {
            "few": [("few-*", "read add"), ("shared", "sync"), ("seen", "read")],
            "small": [("small-*", "read add")],
            "one-body": [("one-*", "read add")],
            "free": [("*", "read add")],
        },
        **{
            "few": "{ fragments = 3 }",
            "small": f"{{ bytes = {3 * SIZE} }}",
            "one-body": "{ bodies = 1 }",
        },
    )
    return ServerProcess(tmp_path / "data", token_file=tokens)


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_a_quota_of_fragments_holds_over_all_states_and_a_restart(
    metered: ServerProcess, fresh: FreshFragment, opened: ExitStack, tmp_path: Path
) -> None:
    """It counts what the states hold that the principal may add to, whoever added it."""
    opened.enter_context(metered)
    few = opened.enter_context(client_of(metered, "few"))
    free = opened.enter_context(client_of(metered, "free"))
    held = [fresh() for _ in range(3)]
    assert push(few, "few-a", held[0]).status_code == 201
    assert push(few, "few-b", held[1]).status_code == 201
    assert push(free, "shared", held[2]).status_code == 201
    assert push(free, "seen", fresh()).status_code == 201  # may be read, and does not count
    before = stored(tmp_path / "data")
    for _ in range(2):
        answer = push(few, "few-c", fresh())
        assert (answer.status_code, answer.json()["code"]) == (403, "quota_exceeded")
        assert answer.json()["details"] == {"what": "fragments", "limit": 3, "used": 3}
    assert stored(tmp_path / "data") == before
    assert few.get("/v1/states/few-c").status_code == 404
    # What counts already needs no room: again, and in another state.
    assert push(few, "few-a", held[0]).status_code == 200
    path = f"/v1/states/few-c/members/{held[1].fragment_id}"
    assert few.put(path).status_code == 201
    # Nobody else is kept out.
    assert push(free, "few-a", fresh()).status_code == 201
    metered.stop()
    with ServerProcess(tmp_path / "data", token_file=tmp_path / "tokens") as again:
        answer = push(opened.enter_context(client_of(again, "few")), "few-a", fresh())
        assert answer.json()["details"] == {"what": "fragments", "limit": 3, "used": 4}


def test_a_quota_of_bytes_counts_whole_files(
    metered: ServerProcess, fresh: FreshFragment, opened: ExitStack
) -> None:
    opened.enter_context(metered)
    small = opened.enter_context(client_of(metered, "small"))
    assert push(small, "small-a", fresh(seq_len=400)).json()["details"] == {
        "what": "bytes",
        "limit": 3 * SIZE,
        "used": 0,
    }
    for _ in range(3):
        assert push(small, "small-a", fresh()).status_code == 201
    answer = push(small, "small-a", fresh())
    assert answer.json()["details"] == {"what": "bytes", "limit": 3 * SIZE, "used": 3 * SIZE}


def test_a_fragment_that_is_added_without_its_bytes_needs_room_too(
    metered: ServerProcess, fresh: FreshFragment, opened: ExitStack
) -> None:
    opened.enter_context(metered)
    few = opened.enter_context(client_of(metered, "few"))
    free = opened.enter_context(client_of(metered, "free"))
    fragments = [fresh() for _ in range(4)]
    for fragment in fragments:
        push(free, "seen", fragment)
    answers = [few.put(f"/v1/states/few-a/members/{f.fragment_id}") for f in fragments]
    assert [a.status_code for a in answers] == [201, 201, 201, 403]
    answer = push(few, "few-a", b"", fragment_id=str(fragments[3].fragment_id))
    assert (answer.status_code, answer.json()["code"]) == (403, "quota_exceeded")


def test_pushes_at_once_fill_a_quota_and_do_not_overfill_it(
    metered: ServerProcess, fresh: FreshFragment, opened: ExitStack
) -> None:
    opened.enter_context(metered)
    few = opened.enter_context(client_of(metered, "few"))
    fragments = [fresh() for _ in range(12)]

    def insist(n: int) -> httpx2.Response:
        while (answer := push(few, f"few-{n % 2}", fragments[n])).status_code == 429:
            assert answer.json()["code"] == "busy"
        return answer

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(insist, range(12)))
    assert sorted(a.status_code for a in answers) == [201] * 3 + [403] * 9
    sizes = [s["fragments"] for s in few.get("/v1/states").json()["states"]]
    assert sum(sizes) == 3


def test_bodies_at_once_are_counted_for_each_principal(
    metered: ServerProcess, fresh: FreshFragment, opened: ExitStack
) -> None:
    opened.enter_context(metered)
    one = opened.enter_context(client_of(metered, "one-body"))
    free = opened.enter_context(client_of(metered, "free"))
    slow = fresh()
    with Wire(metered) as wire:
        wire.request(
            "POST",
            "/v1/states/one-a/fragments",
            f"Authorization: Bearer {secret_of('one-body')}",
            f"Content-Length: {slow.num_bytes}",
            "Expect: 100-continue",
        )
        assert wire.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        for answer in (
            push(one, "one-a", fresh()),
            one.post("/v1/fragments/missing", json={"ids": []}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (429, "busy")
            assert int(answer.headers["retry-after"]) >= 1
        assert one.get("/v1/states").status_code == 200
        assert push(free, "one-a", fresh()).status_code == 201
        wire.send(slow.to_bytes())
        assert wire.answer().status == 201
    assert push(one, "one-a", fresh()).status_code == 201


def test_a_sender_that_leaves_gives_its_room_back(
    metered: ServerProcess, fresh: FreshFragment, opened: ExitStack, tmp_path: Path
) -> None:
    opened.enter_context(metered)
    few = opened.enter_context(client_of(metered, "few"))
    for _ in range(2):
        push(few, "few-a", fresh())

    def cut_short() -> int:
        """Ask for room with a body that ends too early, so that it takes none."""
        return push(few, "few-b", fresh().to_bytes()[:-1]).status_code

    assert cut_short() == 400
    last = fresh(seq_len=30_000)
    with Wire(metered) as wire:
        wire.request(
            "POST",
            "/v1/states/few-a/fragments",
            f"Authorization: Bearer {secret_of('few')}",
            f"Content-Length: {last.num_bytes}",
        )
        wire.send(last.to_bytes()[:-1])
        # Once a piece of its body is on disk, its header has long been seen.
        staging = tmp_path / "data" / ".staging"
        wait_until(lambda: any(p.is_file() and p.stat().st_size for p in staging.rglob("*")))
        assert cut_short() == 429
    wait_until(lambda: cut_short() == 400)
    assert push(few, "few-b", fresh()).status_code == 201
