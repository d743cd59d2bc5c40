"""Branches merged by servers and by clients: one set, one render, whoever makes it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from uuid import uuid4

import httpx2
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from latentcrdt_server.child_process import ServerProcess

from latentcrdt import AsyncClient, Client
from latentcrdt.core.derived_receipt import derived_receipt_document
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.geometry import Dtype
from latentcrdt.core.query import RenderQuery
from latentcrdt.hf import capture, decode_inputs, load_cache
from latentcrdt.merging.strategies import STRATEGIES
from latentcrdt.render.derived import receipt_of
from latentcrdt.testing.fragments import make_geometry
from tests.hf.tiny_models import make_model
from tests.hf.tiny_tokenizer import make_tokenizer
from tests.merging.branches import fork, merged_here

PARAMETERS = {"cosine-gated": ":threshold=0.0,weight=0.3", "sparse-interleaved": ":every=3.0"}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    folders = [tmp_path_factory.mktemp(name) for name in ("one", "other")]
    with ServerProcess(folders[0]) as one, ServerProcess(folders[1]) as other:
        yield one.url, other.url


def new_state() -> str:
    return f"s-{uuid4().hex}"


def pushed(url: str, fragments: Sequence[Fragment]) -> str:
    name = new_state()
    with Client(url) as client:
        for fragment in fragments:
            client.push(name, fragment)
    return name


def served(url: str, name: str, query: RenderQuery) -> bytes:
    answer = httpx2.get(f"{url}/v1/states/{name}/render", params=query.to_params(), timeout=60)
    answer.raise_for_status()
    return answer.content


@st.composite
def forks(draw: st.DrawFn) -> tuple[list[Fragment], RenderQuery]:
    strategy = draw(st.sampled_from(sorted(STRATEGIES)))
    num = draw(st.integers(2, 4)) if STRATEGIES[strategy].many else 2
    geometry = make_geometry(
        dtype=draw(st.sampled_from(Dtype)),
        num_layers=draw(st.integers(1, 3)),
        windows=draw(st.sampled_from([(), (4, None), (6,)])),
    )
    layers = draw(st.sampled_from([None, "0:1"]))
    query = RenderQuery(merge=strategy, layers=layers)
    seed, seq_len = draw(st.integers(0, 2**32)), draw(st.integers(1, 9))
    return fork(seed, num=num, seq_len=seq_len, geometry=geometry), query


@settings(max_examples=40, deadline=None)
@given(forks(), st.data())
def test_every_replica_merges_to_the_same_bytes_in_any_order_of_arrival_and_repetition(
    servers: tuple[str, str], forked: tuple[list[Fragment], RenderQuery], data: st.DataObject
) -> None:
    fragments, query = forked
    expected = merged_here(fragments, query).render.to_bytes()
    for url in servers:
        again = data.draw(st.lists(st.sampled_from(fragments), max_size=3))
        order = data.draw(st.permutations([*fragments, *again]))
        assert served(url, pushed(url, order), query) == expected


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_each_strategy_is_the_same_from_a_server_and_from_either_client(
    servers: tuple[str, str], strategy: str
) -> None:
    fragments = fork(sum(strategy.encode()))
    query = RenderQuery(merge=strategy + PARAMETERS.get(strategy, ""))
    expected = merged_here(fragments, query)
    name = pushed(servers[0], fragments)

    async def asynchronously() -> list[object]:
        async with AsyncClient(servers[0]) as client:
            return [await client.derive(name, query, where=there) for there in (None, "client")]

    assert asyncio.run(asynchronously()) == [expected, expected]
    with Client(servers[0]) as client:
        assert client.derive(name, query) == expected
        assert client.derive(name, query, where="client") == expected
        assert client.render(name, query, verify=False) == expected.render
        with client.render_layers(name, query) as arriving:
            assert arriving.whole() == expected.render


def test_the_servers_receipt_is_the_one_that_anyone_makes(servers: tuple[str, str]) -> None:
    for layers in (None, "1:3"):
        query = RenderQuery(merge="late-v-slerp", layers=layers)
        # A sliding layer, of which the render keeps less of the prefix than the branches' has.
        name = pushed(servers[0], fork(77, geometry=make_geometry(windows=(7, None))))
        with Client(servers[0]) as client:
            derived = client.derive(name, query)
            base = client.receipt_for(name, derived.source, query.of_branches())
            document = derived_receipt_document(receipt_of(derived, base))
            assert client.receipt(name, query) == document
    assert document["derivation"]["method"] == "late-v-slerp"
    assert document["derivation"]["parameters"] == {"weight": "0.5"}
    assert document["derivation"]["state"] is None


def test_a_chosen_order_chooses_the_anchor(servers: tuple[str, str]) -> None:
    prefix, *branches = fork(5)
    name = pushed(servers[0], [prefix, *branches])
    query = RenderQuery(merge="cross-wired")
    canonical = merged_here([prefix, *branches], query)
    order = canonical.derivation.inputs[::-1]
    with Client(servers[0]) as client:
        turned = RenderQuery(merge="cross-wired", order=order)
        made = client.derive(name, turned)
        assert client.derive(name, turned, where="client") == made
    assert made.derivation.inputs == order
    assert made.render.keys(0) != canonical.render.keys(0)


def test_a_model_decodes_from_a_merge_as_from_the_anchor_where_it_is_the_anchor(
    servers: tuple[str, str],
) -> None:
    model, tokenizer = make_model("llama"), make_tokenizer()
    prefix = capture(model, tokenizer, "The cat sat ")
    branches = [capture(model, tokenizer, text, prefix=prefix) for text in ("on a mat", "by a bed")]
    name = pushed(servers[0], [prefix, *branches])
    with Client(servers[0]) as client:
        untouched = client.derive(name, RenderQuery(merge="uniform-average:weight=0"))
        blended = client.render(name, RenderQuery(merge="late-only"))
    assert load_cache(blended, model).get_seq_length() == prefix.header.seq_len + 8
    anchor = next(b for b in branches if b.fragment_id == untouched.derivation.inputs[0])
    ids = [*prefix.header.token_ids, *anchor.header.token_ids, 5]
    with torch.no_grad():
        got = model(**decode_inputs(untouched.render, model, [5])).logits[0, -1]
        expected = model(torch.tensor([ids])).logits[0, -1]
        other = model(**decode_inputs(blended, model, [5])).logits[0, -1]
    assert torch.allclose(got, expected, atol=1e-5)
    assert not torch.allclose(other, expected, atol=1e-3)
