"""Receipts proven from fragments: equal, or the first wrong section named."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentcrdt.core.digester import RunDigester
from latentcrdt.core.documents import receipt_document
from latentcrdt.core.placement import canonical_order, place
from latentcrdt.core.plan import Layout
from latentcrdt.core.receipt import Receipt
from latentcrdt.core.render_reader import RenderReader
from latentcrdt.errors import DigestMismatchError, FragmentNotFoundError
from latentcrdt.render import stream
from latentcrdt.render.proof import prove
from latentcrdt.render.reference import ReferenceEngine
from latentcrdt.render.sort_key import sort_key
from latentcrdt.render.stream import render_chunks, run_digests
from latentcrdt.testing.fragments import make_fragment, make_geometry
from latentcrdt.testing.strategies import fragment_sets


def receipt_of(held, order, **options):
    plan = place([held[i].header for i in order], **options)
    keys = tuple(sort_key(held[i]) for i in order)
    return Receipt(plan, keys, tuple(run_digests(plan, held)))


def spelled(receipt):
    return json.loads(json.dumps(receipt_document(receipt)))


@given(fragment_sets(max_size=5), st.sampled_from(list(Layout)))
@settings(max_examples=40, deadline=None)
def test_a_true_receipt_is_proven_by_another_engine(items, layout):
    held = {f.fragment_id: f for f in items}
    order = canonical_order((sort_key(f), i) for i, f in held.items())
    stride = 9 if layout is Layout.SLOTTED else None
    receipt = receipt_of(held, order, layout=layout, stride=stride)
    assert prove(spelled(receipt), held, engine=ReferenceEngine()) == receipt


HELD = {
    f.fragment_id: f
    for f in (make_fragment(i, geometry=make_geometry(windows=(6,)), start=i) for i in (1, 2, 3))
}
ORDER = canonical_order((sort_key(f), i) for i, f in HELD.items())
RECEIPT = receipt_of(HELD, ORDER)


@pytest.mark.parametrize("part", ["keys", "values"])
@pytest.mark.parametrize("index", range(len(RECEIPT.digests)))
def test_the_first_wrong_section_is_named(index, part):
    document = spelled(RECEIPT)
    for section in document["sections"][index:]:
        section[part] = "0" * 64
    with pytest.raises(DigestMismatchError) as caught:
        prove(document, HELD)
    expected = RECEIPT.digests[index]
    assert caught.value.details["layer"] == expected.layer
    assert caught.value.details["part"] == part
    assert caught.value.details["fragment"] == str(expected.fragment_id)


def test_a_wrong_sort_key_is_found_before_anything_is_turned():
    class Refusing(ReferenceEngine):
        def rotate(self, source, into, dtype, table):
            raise AssertionError("turned")

    keys = (RECEIPT.keys[0] / 2, *RECEIPT.keys[1:])
    document = spelled(Receipt(RECEIPT.plan, keys, RECEIPT.digests))
    with pytest.raises(DigestMismatchError, match=f"sort key of fragment {ORDER[0]}"):
        prove(document, HELD, engine=Refusing())


def test_a_receipt_of_another_order_does_not_pass_for_canonical():
    document = spelled(receipt_of(HELD, ORDER[::-1]))
    assert not prove(document, HELD).is_canonical
    with pytest.raises(DigestMismatchError, match="order"):
        prove({**document, "order": "canonical"}, HELD)


def test_a_fragment_that_is_missing_is_named():
    with pytest.raises(FragmentNotFoundError, match=str(ORDER[1])):
        prove(spelled(RECEIPT), {i: f for i, f in HELD.items() if i != ORDER[1]})


def test_a_digest_that_a_stream_noted_is_that_of_the_receipt():
    """On its way a render fills the memo, cut into heads, rows or not at all; ranges too."""
    plan = RECEIPT.plan

    class Refusing(ReferenceEngine):
        def rotate(self, source, into, dtype, table):
            raise AssertionError("turned again")

    known = {}
    list(render_chunks(plan, HELD, known=known))
    assert tuple(run_digests(plan, HELD, known=known, engine=Refusing())) == RECEIPT.digests


@pytest.mark.parametrize("buffer_bytes", [16, 64, 1000])
def test_a_digest_noted_in_parts_is_the_same(monkeypatch, buffer_bytes):
    whole, parts = {}, {}
    list(render_chunks(RECEIPT.plan, HELD, known=whole))
    monkeypatch.setattr(stream, "BUFFER_BYTES", buffer_bytes)
    monkeypatch.setattr(stream, "_buffers", type(stream._buffers)())
    list(render_chunks(RECEIPT.plan, HELD, known=parts))
    assert parts == whole
    assert len(whole) == 7  # one run in the sliding layer, three in each of the others


@given(st.integers(0, 2500), st.integers(0, 2500))
@settings(max_examples=60, deadline=None)
def test_a_stream_that_ends_early_notes_nothing_wrong(start, stop):
    whole, part = {}, {}
    list(render_chunks(RECEIPT.plan, HELD, known=whole))
    list(render_chunks(RECEIPT.plan, HELD, start=start, stop=stop, known=part))
    assert part.items() <= whole.items()


def test_a_stream_that_is_abandoned_notes_nothing_wrong(monkeypatch):
    whole = {}
    list(render_chunks(RECEIPT.plan, HELD, known=whole))
    monkeypatch.setattr(stream, "BUFFER_BYTES", 100)
    monkeypatch.setattr(stream, "_buffers", type(stream._buffers)())
    counts = set()
    for num_chunks in range(40):
        noted = {}
        chunks = render_chunks(RECEIPT.plan, HELD, known=noted)
        for _ in range(num_chunks):
            next(chunks, None)
        chunks.close()
        assert noted.items() <= whole.items()
        counts.add(len(noted))
    assert counts > {0, 1, 2, 3}


def test_the_same_fragment_at_another_place_has_its_own_digests():
    known = {}
    for order in (ORDER, ORDER[::-1]):
        plan = receipt_of(HELD, order).plan
        list(render_chunks(plan, HELD, known=known))
        assert list(run_digests(plan, HELD, known=known)) == list(run_digests(plan, HELD))


def test_a_large_render_is_checked_in_bounded_memory():
    geometry = make_geometry(num_layers=2, num_kv_heads=2, head_dim=64)
    held = {
        f.fragment_id: f
        for f in (make_fragment(i, geometry=geometry, seq_len=12_000) for i in range(2))
    }
    receipt = receipt_of(held, list(held))
    reader = RenderReader(max_bytes=1 << 30, begin=lambda plan: RunDigester(plan, receipt))
    tracemalloc.start()
    for chunk in render_chunks(receipt.plan, held):
        reader.feed(chunk)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    reader.finish()
    assert reader.num_bytes > 24_000_000
    assert peak < 8 << 20  # the stream's own buffer, and nothing of the reader's that grows
