"""A render taken layer by layer while it arrives: each whole and verified, or its error."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from dataclasses import replace

import pytest

from latentcrdt import AsyncClient, Client
from latentcrdt.core.documents import receipt_document
from latentcrdt.core.placement import place
from latentcrdt.core.query import RenderQuery
from latentcrdt.core.receipt import Receipt
from latentcrdt.errors import (
    ConnectionFailedError,
    DigestMismatchError,
    InvalidRequestError,
    RangeNotSatisfiableError,
    StateNotFoundError,
    TooLargeError,
    UnexpectedAnswerError,
)
from latentcrdt.render.sort_key import sort_key
from latentcrdt.render.stream import render, run_digests
from latentcrdt.testing.fragments import make_fragment, make_geometry
from tests.client.listening import listening, read_head, wait_for_the_end
from tests.client.scripted_server import http, json_http, problem

GEOMETRY = make_geometry(num_layers=5, head_dim=64, num_kv_heads=4)
FRAGMENTS = sorted(
    (make_fragment(seed, geometry=GEOMETRY, seq_len=600) for seed in (4, 5)), key=sort_key
)
HELD = {fragment.fragment_id: fragment for fragment in FRAGMENTS}
PLAN = place([fragment.header for fragment in FRAGMENTS])
RENDER = render(PLAN, HELD)
STREAM = RENDER.to_bytes()
ETAG = f'"{PLAN.etag}"'
LAYER_BYTES = PLAN.keys_bytes(0) + PLAN.values_bytes(0)
SWAPPED = place([fragment.header for fragment in FRAGMENTS[::-1]])


def end_of(layer):
    return len(PLAN.framing) + (layer + 1) * LAYER_BYTES


def receipt(plan=PLAN):
    keys = tuple(sort_key(HELD[p.fragment_id]) for p in plan.placements)
    return json_http(200, receipt_document(Receipt(plan, keys, tuple(run_digests(plan, HELD)))))


def flipped(position):
    wrong = bytearray(STREAM)
    wrong[position] ^= 1
    return bytes(wrong)


def give_receipt(connection):
    read_head(connection)
    connection.sendall(receipt())


def stalling_after(num_bytes, go_on):
    def treat(connection):
        read_head(connection)
        connection.sendall(http(200, STREAM[:num_bytes], content_length=len(STREAM)))
        go_on.wait(30)
        connection.sendall(STREAM[num_bytes:])

    return treat


def test_the_layers_are_those_of_the_whole_render(script):
    script.replies = [http(200, STREAM), receipt()]
    with Client(script.url) as client, client.render_layers("s") as arriving:
        assert arriving.plan == PLAN
        for layer in range(5):
            assert arriving.keys(layer) == RENDER.keys(layer)
            assert arriving.values(layer) == RENDER.values(layer)
        assert arriving.whole().to_bytes() == STREAM
    assert [asked.path for asked in script.asked] == [
        "/v1/states/s/render",
        "/v1/states/s/receipt",
    ]


@pytest.mark.parametrize("num_whole", [1, 3])
def test_a_layer_is_given_out_while_the_next_is_on_its_way(num_whole):
    go_on = threading.Event()
    stall = stalling_after(end_of(num_whole) - 1, go_on)
    with listening(stall, give_receipt) as url, Client(url) as client:
        arriving = client.render_layers("s")
        for layer in range(num_whole):
            assert arriving.keys(layer) == RENDER.keys(layer)
        go_on.set()
        assert arriving.keys(num_whole) == RENDER.keys(num_whole)
        assert arriving.values(4) == RENDER.values(4)


def test_a_wrong_byte_keeps_its_layer_back_and_no_other(script):
    script.replies = [http(200, flipped(end_of(2) - 1)), receipt()]
    with Client(script.url) as client, client.render_layers("s") as arriving:
        for layer in (0, 1, 3, 4):
            assert arriving.keys(layer) == RENDER.keys(layer)
        for read in (arriving.keys, arriving.values):
            with pytest.raises(DigestMismatchError) as caught:
                read(2)
            assert (caught.value.details["layer"], caught.value.details["part"]) == (2, "values")
        with pytest.raises(DigestMismatchError):
            arriving.whole()


def test_a_wrong_byte_is_passed_on_only_where_nobody_asked_for_proof(script):
    script.replies = [http(200, flipped(-1))]
    with Client(script.url) as client, client.render_layers("s", verify=False) as arriving:
        assert arriving.whole().to_bytes() == flipped(-1)
    assert len(script.asked) == 1


def test_a_broken_connection_is_resumed_without_anyone_noticing():
    heads = []

    def cut(connection):
        read_head(connection)
        connection.sendall(
            http(200, STREAM[: end_of(1) - 7], content_length=len(STREAM), etag=ETAG)
        )

    def rest(connection):
        heads.append(read_head(connection).lower())
        start = end_of(1) - 7
        span = f"bytes {start}-{len(STREAM) - 1}/{len(STREAM)}"
        connection.sendall(http(206, STREAM[start:], content_range=span, etag=ETAG))

    treat = by_path(render=[cut, rest], receipt=[give_receipt])
    with listening(*treat) as url, Client(url) as client:
        assert client.render_layers("s").whole().to_bytes() == STREAM
    assert b"range: bytes=" in heads[0]


def by_path(**scripts):
    """Treat each of several connections, in whatever order they come, by what they ask for."""
    waiting = {name: list(treat) for name, treat in scripts.items()}

    def treat(connection):
        seen = connection.recv(65536, 2)  # MSG_PEEK
        name = next(name for name in waiting if f"/{name}".encode() in seen.split()[1])
        waiting[name].pop(0)(connection)

    return [treat] * sum(map(len, waiting.values()))


def test_a_connection_that_stays_broken_fails_the_layer_that_it_cut():
    def cut(connection):
        read_head(connection)
        connection.sendall(http(200, STREAM[: end_of(1) - 7], content_length=len(STREAM)))

    with (
        listening(*by_path(render=[cut] * 4, receipt=[give_receipt])) as url,
        Client(url) as client,
        client.render_layers("s") as arriving,
    ):
        assert arriving.keys(0) == RENDER.keys(0)
        for _ in range(2):
            with pytest.raises(ConnectionFailedError):
                arriving.keys(1)


def test_a_stream_that_starts_again_must_be_the_same_render(script):
    other = replace(PLAN, placements=PLAN.placements[:1])
    changed = render(other, HELD).to_bytes()
    cut = http(200, STREAM[: end_of(3)], content_length=len(STREAM))
    with Client(script.url) as client:
        script.replies = [cut, http(200, STREAM)]
        assert client.render_layers("s", verify=False).whole().to_bytes() == STREAM
        script.replies = [cut, http(200, changed)]
        arriving = client.render_layers("s", verify=False)
        with pytest.raises(UnexpectedAnswerError, match="expected the rest of render"):
            arriving.whole()


def test_the_receipt_asked_for_is_that_of_the_plan_that_came(script):
    """The state may have grown since: then the first receipt is another render's."""
    other = place([FRAGMENTS[0].header])
    script.replies = [http(200, STREAM), receipt(other), receipt()]
    with Client(script.url) as client:
        assert client.render_layers("s").whole().to_bytes() == STREAM
    assert "order=" in script.asked[2].path


def test_a_render_in_another_order_than_the_keys_is_not_begun(script):
    script.replies = [http(200, render(SWAPPED, HELD).to_bytes()), receipt(SWAPPED)]
    with Client(script.url) as client, pytest.raises(UnexpectedAnswerError, match="canonical"):
        client.render_layers("s")


def test_a_receipt_that_does_not_come_is_an_error_at_once(script):
    script.replies = [http(200, STREAM), problem(404, "state_not_found")]
    with Client(script.url) as client, pytest.raises(StateNotFoundError):
        client.render_layers("s")


def test_a_refusal_comes_instead_of_the_plan(script):
    script.replies = [problem(404, "state_not_found")]
    with Client(script.url) as client, pytest.raises(StateNotFoundError):
        client.render_layers("s")


def test_a_render_over_the_limit_is_refused(script):
    script.replies = [http(200, STREAM)]
    with (
        Client(script.url, max_render_bytes=len(STREAM) - 1) as client,
        pytest.raises(TooLargeError),
    ):
        client.render_layers("s")


def test_layers_that_are_not_carried_are_refused(script):
    two = render(place([f.header for f in FRAGMENTS], layers=replace(PLAN.layers, stop=2)), HELD)
    script.replies = [http(200, two.to_bytes())]
    query = RenderQuery(layers="0:2")
    with Client(script.url) as client:
        arriving = client.render_layers("s", query, verify=False)
        assert arriving.keys(1) == RENDER.keys(1)
        with pytest.raises(RangeNotSatisfiableError):
            arriving.keys(2)


def test_leaving_the_block_ends_the_waiting_and_the_download():
    go_on, gone = threading.Event(), threading.Event()

    def stall(connection):
        read_head(connection)
        with suppress(ConnectionError):  # a client that leaves before it has read all resets
            connection.sendall(http(200, STREAM[: end_of(1)], content_length=len(STREAM)))
            go_on.wait(30)
            connection.sendall(STREAM[end_of(1) : end_of(3)])
            wait_for_the_end(connection)
        gone.set()

    with listening(stall) as url, Client(url, timeout_s=600) as client:
        with client.render_layers("s", verify=False) as arriving:
            kept = arriving.keys(0)
        with pytest.raises(InvalidRequestError, match="closed before layer 4"):
            arriving.keys(4)
        assert kept == arriving.keys(0) == RENDER.keys(0)
        go_on.set()
        assert gone.wait(30)


def test_the_asynchronous_client_hands_out_the_same(script):
    script.replies = [http(200, STREAM), receipt()]

    async def take():
        async with AsyncClient(script.url) as client:
            return await client.render_layers("s")

    assert asyncio.run(take()).whole().to_bytes() == STREAM
