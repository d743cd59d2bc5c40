"""Both clients against a server in a process of its own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import httpx2
import pytest
from latentcrdt_server.child_process import ServerProcess

from latentcrdt import AsyncClient, Client
from latentcrdt.client.flows import fetching
from latentcrdt.core.documents import receipt_document
from latentcrdt.core.encoding import digest
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.placement import canonical_order, place
from latentcrdt.core.plan import Layout
from latentcrdt.core.query import RenderQuery
from latentcrdt.core.reuse import Reuse
from latentcrdt.core.state import LatentState
from latentcrdt.errors import (
    AmbiguousClassError,
    FragmentNotFoundError,
    InvalidRequestError,
    InvalidStateNameError,
    NonFiniteKeysError,
    PrefixMissingError,
    StateNotFoundError,
    TooLargeError,
    UnauthorizedError,
)
from latentcrdt.render.sort_key import sort_key
from latentcrdt.render.stream import render
from latentcrdt.testing.fragments import make_fragment, make_geometry
from tests.client.scripted_server import Asked, http

LARGE = make_geometry(head_dim=64)


def make_fragments(count: int, seq_len: int = 300) -> list[Fragment]:
    return [make_fragment(i, geometry=LARGE, seq_len=seq_len + i) for i in range(count)]


def expected_render(fragments: list[Fragment], **options) -> bytes:
    """The render as this process computes it, without any server."""
    held = {f.fragment_id: f for f in fragments}
    order = canonical_order((sort_key(f), f.fragment_id) for f in fragments)
    return render(place([held[i].header for i in order], **options), held).to_bytes()


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[str]:
    with ServerProcess(tmp_path_factory.mktemp("server") / "data") as process:
        yield process.url


@pytest.fixture
def name() -> str:
    return f"s-{uuid4().hex}"


@pytest.fixture
def client(make_client, server) -> Iterator[Client]:
    with make_client(server) as made:
        yield made


def test_a_state_holds_what_was_pushed_in_any_order_and_number(client, name):
    fragments = make_fragments(3)
    grew = [client.push(name, f).created for f in (*fragments, *fragments[::-1])]
    assert grew == [True] * 3 + [False] * 3
    root = LatentState(f.fragment_id for f in fragments).root
    listing = client.state(name)
    assert listing.root == root
    assert {m.fragment_id: m.sort_key for m in listing.members} == {
        f.fragment_id: sort_key(f) for f in fragments
    }
    assert (name, root, 3) in {(s.name, s.root, s.num_fragments) for s in client.states()}


def test_server_and_client_render_the_bytes_that_this_process_renders(client, name):
    fragments = make_fragments(3)
    for fragment in fragments:
        client.push(name, fragment)
    expected = expected_render(fragments)
    assert client.render(name).to_bytes() == expected
    done: list[tuple[int, int]] = []
    local = client.render(name, where="client", on_progress=lambda *a: done.append(a))
    assert local.to_bytes() == expected
    total = sum(f.num_bytes for f in fragments)
    assert done == sorted(set(done))
    assert done[-1] == (total, total)


@pytest.mark.parametrize(
    "query",
    [
        RenderQuery(layout=Layout.PARALLEL),
        RenderQuery(layout=Layout.SLOTTED, stride=400),
        RenderQuery(layers="1:2"),
        RenderQuery(order=tuple(f.fragment_id for f in make_fragments(3)[::-1])),
    ],
    ids=["parallel", "slotted", "layers", "bag"],
)
def test_every_query_renders_alike_on_both_sides(client, name, query):
    for fragment in make_fragments(3):
        client.push(name, fragment)
    remote = client.render(name, query)
    local = client.render(name, query, where="client")
    assert remote.to_bytes() == local.to_bytes()


@pytest.mark.parametrize(
    "query",
    [RenderQuery(layout=Layout.PARALLEL), RenderQuery(layout=Layout.SLOTTED, stride=400)],
    ids=["parallel", "slotted"],
)
def test_a_grown_state_is_rendered_again_from_what_is_lacking_alone(client, name, query):
    *old, new = make_fragments(4)
    for fragment in old:
        client.push(name, fragment)
    before = client.render(name, query)
    client.push(name, new)
    expected = client.render(name, query).to_bytes()
    done: list[tuple[int, int]] = []
    again = client.render(
        name, query, where="client", previous=before, on_progress=lambda *a: done.append(a)
    )
    assert again.to_bytes() == expected
    reuse = Reuse(again.plan, before.plan)
    fetched = [f.num_bytes for f in (*old, new) if f.fragment_id in reuse.lacking]
    assert done[-1] == (sum(fetched), sum(fetched))
    assert reuse.reused_bytes > 0
    if query.layout is Layout.PARALLEL:  # in slots, what sorts behind the new one moves
        assert reuse.lacking == [new.fragment_id]


def test_fragments_behind_a_prefix_render_alike_on_both_sides(client, name):
    # A prefix of this test run alone: a server that held it before would have nothing to miss.
    prefix = make_fragment(int(name[2:8], 16), geometry=LARGE, seq_len=40)
    behind = [make_fragment(i, geometry=LARGE, start=40, prefix=prefix.fragment_id) for i in (8, 9)]
    client.push(name, behind[0])
    with pytest.raises(PrefixMissingError):
        client.plan(name)
    client.push(name, behind[1])
    client.push(f"{name[:30]}-p", prefix)
    plan = client.plan(name)
    assert [p["id"] for p in plan["prefixes"]] == [str(prefix.fragment_id)]
    assert client.render(name).to_bytes() == client.render(name, where="client").to_bytes()


def test_a_file_is_pushed_and_fetched_back_to_the_same_bytes(client, name, tmp_path):
    (fragment,) = make_fragments(1, seq_len=3000)
    source, target = tmp_path / "out", tmp_path / "back"
    source.write_bytes(fragment.to_bytes())
    done: list[tuple[int, int]] = []
    assert client.push(name, source, on_progress=lambda *a: done.append(a)).created
    header = client.fetch_to(fragment.fragment_id, target, on_progress=lambda *a: done.append(a))
    assert header == fragment.header
    assert target.read_bytes() == source.read_bytes()
    total = fragment.num_bytes
    assert done.count((total, total)) == 2


def test_parts_and_layers_of_the_real_server_are_those_of_the_fragment(
    make_client, server, name, tmp_path, monkeypatch
):
    fragment = make_fragment(9, geometry=make_geometry(num_layers=6, head_dim=64), seq_len=200)
    monkeypatch.setattr(fetching, "PART_BYTES", 60_000)
    with make_client(server, connections=3) as client:
        client.push(name, fragment)
        assert client.fetch(fragment.fragment_id).to_bytes() == fragment.to_bytes()
        client.fetch_to(fragment.fragment_id, tmp_path / "file")
        layers = client.fetch_layers(fragment.fragment_id, "1:5")
    assert (tmp_path / "file").read_bytes() == fragment.to_bytes()
    assert [layers.values(i) for i in range(1, 5)] == [fragment.values(i) for i in range(1, 5)]


def test_a_fetched_fragment_equals_the_pushed_one(client, name):
    fragment = make_fragment(21)
    client.push(name, fragment)
    assert client.fetch(fragment.fragment_id).to_bytes() == fragment.to_bytes()


def test_missing_names_exactly_what_the_server_lacks(client, name):
    held, lacking = make_fragment(31), make_fragment(1_000_001)
    client.push(name, held)
    assert client.missing([held.fragment_id, lacking.fragment_id]) == [lacking.fragment_id]
    assert client.missing([]) == []


def test_a_held_fragment_joins_another_state_without_being_sent(client, name):
    fragment = make_fragment(41)
    client.push(name, fragment)
    other = f"{name[:40]}-2"
    assert client.insert(other, fragment.fragment_id) is True
    assert client.insert(other, fragment.fragment_id) is False
    assert client.state(other).root == client.state(name).root


def test_declaring_a_state_twice_changes_nothing(client, name):
    assert client.declare(name) is True
    assert client.declare(name) is False
    assert client.state(name).members == ()


def test_a_receipt_is_that_of_the_plan_although_the_state_grew(client, name):
    first, second = make_fragments(2)
    client.push(name, first)
    rendered = client.render(name)
    client.push(name, second)
    receipt = client.receipt_for(name, rendered.plan)
    receipt.check(rendered.run_digests())
    assert receipt.keys == (sort_key(first),)
    now = client.receipt(name)
    assert now["plan"]["render_id"] != str(rendered.plan.render_id)
    both = client.render(name)
    assert now == json.loads(json.dumps(receipt_document(client.receipt_for(name, both.plan))))


def test_errors_of_the_server_are_raised_as_themselves(client, name):
    with pytest.raises(StateNotFoundError):
        client.state(name)
    with pytest.raises(StateNotFoundError):
        client.render(name)
    unknown = make_fragment(1_000_002).fragment_id
    with pytest.raises(FragmentNotFoundError) as caught:
        client.fetch(unknown)
    assert str(unknown) in str(caught.value)
    with pytest.raises(FragmentNotFoundError):
        client.insert(name, unknown)
    with pytest.raises(InvalidStateNameError):
        client.state("No Such Name")


def test_a_query_that_does_not_fit_is_refused_with_its_reason(client, name):
    for fragment in make_fragments(2):
        client.push(name, fragment)
    with pytest.raises(InvalidRequestError, match="stride"):
        client.render(name, RenderQuery(layout=Layout.SLOTTED, stride=1))


def test_two_classes_are_listed_and_one_may_be_chosen(client, name):
    other = make_fragment(5, geometry=make_geometry(model_id="other@1"))
    fragment = make_fragment(5)
    client.push(name, other)
    client.push(name, fragment)
    with pytest.raises(AmbiguousClassError) as caught:
        client.render(name)
    classes = {m.class_id for m in client.state(name).members}
    assert set(caught.value.details["classes"]) == {str(c) for c in classes}
    for class_id in classes:
        query = RenderQuery(class_id=class_id)
        assert client.render(name, query).plan.class_id == class_id
        assert client.render(name, query, where="client").plan.class_id == class_id


def test_keys_that_are_not_finite_are_refused_by_name(client, name):
    good = make_fragment(3)
    sections = [(bytearray(good.keys(i)), good.values(i)) for i in range(3)]
    sections[1][0][:2] = b"\xc0\x7f"  # a bf16 NaN
    bad = Fragment.build(good.header.geometry, sections, start=0, seq_len=5)
    with pytest.raises(NonFiniteKeysError, match="layer 1"):
        client.push(name, bad)


def test_a_fragment_over_the_limit_is_refused_while_it_is_sent(make_client, tmp_path):
    fragment = make_fragment(1, geometry=make_geometry(head_dim=256), seq_len=3000)
    server = ServerProcess(tmp_path / "data", max_fragment_bytes=100_000)
    with server, make_client(server.url) as client:
        assert fragment.num_bytes > 10_000_000
        with pytest.raises(TooLargeError, match="100000"):
            client.push("s", fragment)


def test_a_token_opens_the_api_and_nothing_else_does(make_client, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text(
        f'[[principal]]\nname = "p"\ndigest = "{digest(b"right").hex()}"\n'
        'grants = [{ states = ["*"], scopes = ["read"] }]\n'
    )
    with ServerProcess(tmp_path / "data", token_file=tokens) as process:
        with make_client(process.url, token="wrong") as client, pytest.raises(UnauthorizedError):
            client.states()
        with make_client(process.url, token="right") as client:
            assert client.states() == []


def test_concurrent_pushes_of_one_client_all_arrive(server, name):
    fragments = make_fragments(8)

    async def push_all() -> None:
        async with AsyncClient(server) as client:
            await asyncio.gather(*(client.push(name, f) for f in fragments * 3))

    asyncio.run(push_all())
    with Client(server) as client:
        assert client.state(name).root == LatentState(f.fragment_id for f in fragments).root


def test_the_event_loop_goes_on_while_a_render_is_made_here(server, name):
    """A local render of a few MB takes many loop turns; a ticker must not miss them all."""
    fragments = make_fragments(4, seq_len=4000)

    async def render_beside_a_ticker() -> tuple[bytes, int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        async with AsyncClient(server) as client:
            for fragment in fragments:
                await client.push(name, fragment)
            held = {f.fragment_id: f for f in fragments}
            ticker = asyncio.create_task(tick())
            rendered = await client.render(name, where="client", held=held)
            ticker.cancel()
        return rendered.to_bytes(), ticks

    data, ticks = asyncio.run(render_beside_a_ticker())
    assert data == expected_render(fragments)
    assert ticks > 50


def test_the_memory_of_a_large_push_does_not_grow_with_it(server, name, tmp_path):
    """In a process of its own: 96 MB from a file must add far less than that to its peak."""
    path = tmp_path / "large"
    geometry = make_geometry(head_dim=128, num_kv_heads=8)
    path.write_bytes(make_fragment(1, geometry=geometry, seq_len=7800).to_bytes())
    assert path.stat().st_size > 90_000_000
    program = Path(__file__).with_name("push_peak.py")
    command = [sys.executable, str(program), server, name, str(path)]
    grown = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert grown < 30_000_000


def test_a_broken_download_is_resumed_by_the_real_server(make_client, server, script, name):
    """Between the two stands a server that cuts its first answer and passes on the second."""
    fragments = make_fragments(2)
    with Client(server) as direct:
        for fragment in fragments:
            direct.push(name, fragment)

    def forward(cut: int | None) -> Callable[[Asked], bytes]:
        def reply(asked: Asked) -> bytes:
            kept = {n: v for n, v in asked.headers.items() if n in ("range", "if-range", "accept")}
            answer = httpx2.get(server + asked.path, headers=kept)
            names = ("etag", "content-range")
            headers = {n.replace("-", "_"): answer.headers[n] for n in names if n in answer.headers}
            length = len(answer.content)
            return http(answer.status_code, answer.content[:cut], content_length=length, **headers)

        return reply

    script.replies = [forward(1000), forward(None), forward(2000), forward(None), forward(None)]
    with make_client(script.url) as client:
        fetched = client.fetch(fragments[0].fragment_id)
        rendered = client.render(name)
    assert fetched.to_bytes() == fragments[0].to_bytes()
    assert rendered.to_bytes() == expected_render(fragments)
    assert [asked.headers.get("range") for asked in script.asked] == [
        None,
        "bytes=1000-",
        None,
        "bytes=2000-",
        None,
    ]
