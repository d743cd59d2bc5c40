"""Branches merged through a server, found again by others, and decoded from by a model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from latentcrdt_server.child_process import ServerProcess

from latentcrdt import Client
from latentcrdt.core.derived import companion_of
from latentcrdt.core.plan import Layout
from latentcrdt.core.query import RenderQuery
from latentcrdt.errors import IncompatibleFragmentsError
from latentcrdt.hf import capture, decode_inputs, load_cache
from latentcrdt.merging.branches import BranchMerge
from tests.hf.tiny_models import make_model
from tests.hf.tiny_tokenizer import make_tokenizer

BRANCHES = RenderQuery(layout=Layout.PARALLEL)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Client]]:
    folders = [tmp_path_factory.mktemp(name) for name in ("one", "other")]
    with (
        ServerProcess(folders[0]) as one,
        ServerProcess(folders[1]) as other,
        Client(one.url) as first,
        Client(other.url) as second,
    ):
        yield first, second


def test_every_replica_makes_the_same_branch_in_any_order_of_arrival(
    servers: tuple[Client, Client],
) -> None:
    model, tokenizer = make_model("llama"), make_tokenizer()
    prefix = capture(model, tokenizer, "The cat sat ")
    branches = [capture(model, tokenizer, text, prefix=prefix) for text in ("on a mat", "by a bed")]
    for client, order in zip(servers, (branches, branches[::-1]), strict=True):
        for fragment in (prefix, *order):
            client.push("fork", fragment)
    made = [client.repair("fork", BranchMerge("late-only"), BRANCHES) for client in servers]
    assert made[0].render.digest == made[1].render.digest
    companion = companion_of(made[0].derivation)
    assert companion.startswith("merge.")
    for client in servers:
        assert [m.fragment_id for m in client.state(companion).members] == [made[0].fragment_id]
    whole = client.render("fork", BRANCHES, repair=BranchMerge("late-only"))
    assert whole.digest == made[0].render.digest
    cache = load_cache(whole, model)
    assert cache.get_seq_length() == prefix.header.seq_len + 8
    # Its lower layers are the anchor's: with all of them, the model says what it says there.
    untouched = client.render(
        "fork", BRANCHES, repair=BranchMerge("uniform-average", {"weight": 0.0})
    )
    anchor = next(b for b in branches if b.fragment_id == made[0].derivation.inputs[0])
    ids = [*prefix.header.token_ids, *anchor.header.token_ids, 5]
    with torch.no_grad():
        got = model(**decode_inputs(untouched, model, [5])).logits[0, -1]
        expected = model(torch.tensor([ids])).logits[0, -1]
    assert torch.allclose(got, expected, atol=1e-5)


def test_branches_of_other_lengths_are_refused_before_anything_is_fetched(
    servers: tuple[Client, Client], tmp_path: Path
) -> None:
    model, tokenizer = make_model("llama"), make_tokenizer()
    client = servers[0]
    for text in ("on a mat", "on a large mat"):
        client.push("uneven", capture(model, tokenizer, text))
    with pytest.raises(IncompatibleFragmentsError, match="expected branches of"):
        client.repair("uneven", BranchMerge("v-only"), BRANCHES)
