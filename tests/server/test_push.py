from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from latentcrdt_server.child_process import ServerProcess
from latentcrdt_server.early import LINGER_IDLE_S

from latentcrdt.core.encoding import unpack_document
from latentcrdt.core.state import LatentState
from tests.server.conftest import FreshFragment
from tests.server.wire import FRAGMENT_TYPE, Wire, push, stored, wait_until

OCTETS = {"content-type": "application/octet-stream"}


def test_a_pushed_fragment_comes_back_byte_for_byte(
    http: httpx2.Client, state: str, fresh: FreshFragment
) -> None:
    fragment = fresh(token_ids=[1, -1, 3, 4, 5])
    answer = push(http, state, fragment)
    fetched = http.get(answer.headers["location"])
    assert fetched.content == fragment.to_bytes()
    assert fetched.headers["content-type"] == FRAGMENT_TYPE
    assert answer.json()["fragment"]["num_latent_rows"] == 1
    assert answer.json()["id"] == answer.headers["fragment-id"] == str(fragment.fragment_id)


def test_the_first_push_creates_and_every_other_changes_nothing(
    http: httpx2.Client, state: str, fresh: FreshFragment
) -> None:
    fragment = fresh()
    first = push(http, state, fragment)
    root = http.get(f"/v1/states/{state}").json()["root"]
    again = push(http, state, fragment)
    declared = push(http, state, fragment, fragment_id=str(fragment.fragment_id))
    assert [a.status_code for a in (first, again, declared)] == [201, 200, 200]
    assert [a.json()["created"] for a in (first, again, declared)] == [True, False, False]
    assert http.get(f"/v1/states/{state}").json()["root"] == root
    assert root == str(LatentState([fragment.fragment_id]).root)


def test_a_body_without_declared_length_is_taken(
    http: httpx2.Client, state: str, fresh: FreshFragment
) -> None:
    data = fresh().to_bytes()
    pieces = iter([data[:7], data[7:100], data[100:]])
    answer = http.post(f"/v1/states/{state}/fragments", content=pieces, headers=OCTETS)
    assert answer.request.headers["transfer-encoding"] == "chunked"
    assert answer.status_code == 201


def test_a_known_fragment_costs_one_round_trip_and_no_body(
    server: ServerProcess, http: httpx2.Client, state: str, fresh: FreshFragment
) -> None:
    fragment = fresh()
    push(http, state, fragment)
    with Wire(server) as wire:
        wire.request(
            "POST",
            f"/v1/states/{state}-other/fragments",
            f"Content-Type: {FRAGMENT_TYPE}",
            f"Content-Length: {fragment.num_bytes}",
            f"Fragment-Id: {fragment.fragment_id}",
            f"X-Request-Id: known-{state}"[:64],
            "Expect: 100-continue",
        )
        answer = wire.answer()
        assert wire.read_to_end() == b""
    # The first line that came was the answer itself: no 100 invited the body.
    assert answer.status == 201
    assert answer.headers["connection"] == "close"
    members = http.get(f"/v1/states/{state}-other").json()["members"]
    assert [m["id"] for m in members] == [str(fragment.fragment_id)]
    # Nothing is on its way from a caller that waits to be invited: the server need not linger.
    request_id = answer.headers["x-request-id"]
    wait_until(lambda: request_id in server.log_path.read_text())
    lines = server.log_path.read_text().splitlines()
    entry = next(json.loads(line) for line in lines if request_id in line)
    assert entry["seconds"] < LINGER_IDLE_S


def test_an_unknown_fragment_is_invited_and_then_read(
    server: ServerProcess, state: str, fresh: FreshFragment
) -> None:
    fragment = fresh()
    with Wire(server) as wire:
        wire.request(
            "POST",
            f"/v1/states/{state}/fragments",
            f"Content-Type: {FRAGMENT_TYPE}",
            f"Content-Length: {fragment.num_bytes}",
            f"Fragment-Id: {fragment.fragment_id}",
            "Expect: 100-continue",
        )
        assert wire.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        wire.send(fragment.to_bytes())
        answer = wire.answer()
        assert answer.status == 201
        assert "connection" not in answer.headers
        wire.request("GET", "/healthz")
        assert wire.answer().status == 200


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Content-Type: text/plain", 415),
        ("Fragment-Id: nonsense", 400),
        (f"Content-Length: {2**50}", 413),
    ],
)
def test_a_refusal_is_given_before_the_body_is_invited(
    server: ServerProcess, state: str, header: str, status: int
) -> None:
    length = [] if header.startswith("Content-Length") else ["Content-Length: 1000"]
    with Wire(server) as wire:
        wire.request(
            "POST", f"/v1/states/{state}/fragments", header, *length, "Expect: 100-continue"
        )
        assert wire.answer().status == status
        assert wire.read_to_end() == b""


def test_an_early_answer_reaches_a_sender_that_does_not_look_before_its_end(
    server: ServerProcess, http: httpx2.Client, state: str, fresh: FreshFragment
) -> None:
    """Closing a socket with unread bytes would reset it, and the answer would be lost."""
    fragment = fresh(seq_len=20_000)
    push(http, state, fragment)
    with Wire(server) as wire:
        wire.request(
            "POST",
            f"/v1/states/{state}/fragments",
            f"Content-Length: {fragment.num_bytes}",
            f"Fragment-Id: {fragment.fragment_id}",
            body=fragment.to_bytes(),
        )
        assert wire.answer().status == 200
        assert wire.read_to_end() == b""


def test_eight_pushes_of_one_fragment_at_once_grow_the_state_once(
    http: httpx2.Client, state: str, fresh: FreshFragment, data_dir: Path
) -> None:
    fragment = fresh(seq_len=2_000)
    before = stored(data_dir)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: push(http, state, fragment), range(8)))
    assert sorted(a.status_code for a in answers) == [200] * 7 + [201]
    assert len(http.get(f"/v1/states/{state}").json()["members"]) == 1
    assert len(stored(data_dir) - before) == 1


def test_a_push_can_be_answered_in_msgpack(
    http: httpx2.Client, state: str, fresh: FreshFragment
) -> None:
    answer = push(http, state, fresh(), accept="application/vnd.msgpack")
    assert answer.headers["content-type"] == "application/vnd.msgpack"
    assert unpack_document(answer.content)["state"] == state
