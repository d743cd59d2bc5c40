"""Repairs with a model as they are used: without a server, through one, and checked afterwards."""

from __future__ import annotations

import pytest
import torch
from latentcrdt_server.child_process import ServerProcess

from latentcrdt import Client
from latentcrdt.agents.repair import CacheBlend, LegoLink, Reprefill, derive, verify_derived
from latentcrdt.core.derived_receipt import derived_receipt_document
from latentcrdt.core.fragment import Fragment
from latentcrdt.errors import DigestMismatchError, IncompatibleFragmentsError
from latentcrdt.hf import load_cache
from latentcrdt.render.derived import receipt_of
from latentcrdt.render.sort_key import sort_key
from tests.agents.repair.worlds import PARTS, PREFIX, make_world
from tests.hf.oracle import next_logits, plain_prefill
from tests.hf.tiny_models import make_model

QUESTION = [14, 8, 90]


@pytest.fixture(scope="module")
def model():
    return make_model("llama")


@pytest.fixture(scope="module")
def world(model):
    return make_world(model, prefixes=[PREFIX])


def changed(fragment: Fragment, byte: int) -> Fragment:
    """The fragment with one byte of every K and V section changed."""
    header = fragment.header
    sections = []
    for i in range(len(header.geometry.layers)):
        pair = []
        for section in (fragment.keys(i), fragment.values(i)):
            data = bytearray(section)
            data[3] ^= byte  # of the first number: exponent and sign
            pair.append(bytes(data))
        sections.append((pair[0], pair[1]))
    return Fragment.build(
        header.geometry,
        sections,
        start=header.start,
        seq_len=header.seq_len,
        prefix=header.prefix,
        token_ids=list(header.token_ids),
    )


def test_a_model_decodes_from_a_derived_render_as_from_the_whole_text(model, world):
    derived = derive(Reprefill(model), world.plan, world.fragments)
    rendered = derived.render
    cache = load_cache(rendered, model)
    got = next_logits(model, cache, QUESTION, rendered.plan.next_position)
    dense = plain_prefill(model, world.token_ids)
    expected = next_logits(model, dense, QUESTION, len(world.token_ids))
    assert float((got - expected).abs().max()) < 1e-4
    plain = load_cache(world.render, model)
    unrepaired = next_logits(model, plain, QUESTION, world.plan.next_position)
    assert float((unrepaired - expected).abs().max()) > 1e-2


def test_the_names_of_repairs_differ_by_method_and_parameters(model, world):
    repairs = [
        Reprefill(model),
        LegoLink(model),
        LegoLink(model, rows=8),
        CacheBlend(model),
        CacheBlend(model, share=0.2),
    ]
    names = {repair.derivation(world.plan).derivation_id for repair in repairs}
    assert len(names) == len(repairs)
    assert CacheBlend(model, share=1).derivation(world.plan) == CacheBlend(
        model, share=1.0
    ).derivation(world.plan)


def test_two_models_through_a_server_share_one_result_and_its_receipt(tmp_path, model, world):
    with ServerProcess(tmp_path / "data") as server, Client(server.url) as client:
        for fragment in world.fragments.values():
            client.push("task", fragment)
        first = client.derive("task", repair=LegoLink(model, rows=3))
        rendered = client.render("task", repair=LegoLink(make_model("llama"), rows=3))
        receipt = receipt_of(first, client.receipt_for("task", first.source))
        held = {i.fragment_id: client.fetch(i.fragment_id) for i in first.source.placements}
    assert rendered.to_bytes() == first.render.to_bytes()
    assert first.source.class_id == world.plan.class_id
    document = derived_receipt_document(receipt)
    assert document["derivation"]["parameters"] == {"rows": "3"}
    assert document["derivation"]["inputs"] == [str(i) for i in held]
    assert [entry["id"] for entry in document["plan"]["fragments"]] == [str(first.fragment_id)]
    receipt.render.check(rendered.run_digests())
    own = sort_key(LegoLink(model, rows=3).apply(first.source, world.fragments))
    assert receipt.render.keys == (own,)
    again = LegoLink(model, rows=3).apply(first.source, world.fragments)
    assert again.fragment_id == first.fragment_id


@pytest.mark.parametrize("make", [Reprefill, LegoLink, CacheBlend])
def test_what_the_same_machine_made_verifies_to_the_byte(model, world, make):
    repair = make(model)
    derived = repair.apply(world.plan, world.fragments)
    assert verify_derived(repair, world.plan, world.fragments, derived).is_equal


def test_what_another_attention_kernel_made_verifies_within_the_noise_of_a_run(model, world):
    derived = LegoLink(model).apply(world.plan, world.fragments)
    other = make_model("llama")
    other.set_attn_implementation("eager")
    agreement = verify_derived(LegoLink(other), world.plan, world.fragments, derived)
    assert agreement.error <= 1e-5 < agreement.bound


def test_rows_that_somebody_made_up_do_not_verify(model, world):
    repair = LegoLink(model, rows=3)
    derived = repair.apply(world.plan, world.fragments)
    with pytest.raises(DigestMismatchError, match="layer 0, keys: expected rows within"):
        verify_derived(repair, world.plan, world.fragments, changed(derived, 0x80))


def test_a_weaker_repair_does_not_verify_as_a_stronger_one(model, world):
    weak = LegoLink(model, rows=1).apply(world.plan, world.fragments)
    with pytest.raises(DigestMismatchError):
        verify_derived(Reprefill(model), world.plan, world.fragments, weak)


def test_a_fragment_of_another_place_does_not_verify(model, world):
    repair = LegoLink(model)
    other = make_world(model, PARTS[:2], prefixes=[PREFIX])
    derived = repair.apply(other.plan, other.fragments)
    with pytest.raises(IncompatibleFragmentsError, match="geometry, place and tokens"):
        verify_derived(repair, world.plan, world.fragments, derived)


def test_repairing_leaves_the_model_and_the_fragments_as_they_were(model, world):
    files = [fragment.to_bytes() for fragment in world.fragments.values()]
    weights = [parameter.clone() for parameter in model.parameters()]
    model.train()
    for repair in (Reprefill(model), LegoLink(model), CacheBlend(model)):
        repair.apply(world.plan, world.fragments)
    assert model.training
    model.eval()
    assert [fragment.to_bytes() for fragment in world.fragments.values()] == files
    assert all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))
    assert all(parameter.grad is None for parameter in model.parameters())
