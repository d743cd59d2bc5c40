from __future__ import annotations

import itertools
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentcrdt.core.geometry import Dtype, RopeStyle
from latentcrdt.core.placement import canonical_order, place
from latentcrdt.core.plan import LayerRange, Layout
from latentcrdt.core.receipt import Receipt
from latentcrdt.core.rendered import Render
from latentcrdt.errors import (
    DigestMismatchError,
    FragmentNotFoundError,
    RangeNotSatisfiableError,
    TruncatedError,
)
from latentcrdt.render import stream
from latentcrdt.render.reference import ReferenceEngine
from latentcrdt.render.sort_key import sort_key
from latentcrdt.render.stream import render, render_chunks, run_digests
from latentcrdt.testing.fragments import make_fragment, make_geometry, make_rope
from tests.render import oracle


def make_set(seq_lens, geometry=None):
    fragments = [
        make_fragment(i, geometry=geometry, start=5 * i, seq_len=n) for i, n in enumerate(seq_lens)
    ]
    return {f.fragment_id: f for f in fragments}


def canonical(fragments, **options):
    order = canonical_order((sort_key(f), i) for i, f in fragments.items())
    return place([fragments[i].header for i in order], **options)


@given(
    st.sampled_from(list(Dtype)),
    st.sampled_from(list(RopeStyle)),
    st.lists(st.integers(1, 5), min_size=1, max_size=4),
    st.none() | st.integers(2, 7),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_a_render_is_that_of_the_oracle(dtype, style, seq_lens, window, partial):
    rope = make_rope(4 if partial else 6, style)
    geometry = make_geometry(dtype=dtype, num_layers=2, head_dim=6, rope=rope, windows=(window,))
    fragments = make_set(seq_lens, geometry)
    plan = canonical(fragments)
    ordered = [fragments[p.fragment_id] for p in plan.placements]
    assert bytes(render(plan, fragments).body) == oracle.render_body(ordered)


@pytest.mark.parametrize("dtype", list(Dtype))
@pytest.mark.parametrize("arity", [1, 2, 3, 4])
def test_every_permutation_renders_to_the_same_bytes(dtype, arity):
    fragments = make_set([3, 1, 4, 2][:arity], make_geometry(dtype=dtype, windows=(3,)))
    digests = {
        render(canonical({i: fragments[i] for i in order}), fragments).digest
        for order in itertools.permutations(fragments)
    }
    assert len(digests) == 1


@given(st.permutations(range(8)), st.sampled_from(list(Dtype)))
@settings(max_examples=30, deadline=None)
def test_eight_fragments_in_any_order_render_to_the_same_bytes(order, dtype):
    fragments = make_set(range(1, 9), make_geometry(dtype=dtype, num_layers=2))
    ids = list(fragments)
    shuffled = {ids[i]: fragments[ids[i]] for i in order}
    assert canonical(shuffled).render_id == canonical(fragments).render_id
    assert (
        render(canonical(shuffled), shuffled).digest
        == render(canonical(fragments), fragments).digest
    )


def test_bag_merge_depends_on_the_order():
    fragments = make_set([3, 4])
    a, b = (f.header for f in fragments.values())
    assert render(place([a, b]), fragments).digest != render(place([b, a]), fragments).digest


def test_equal_keys_are_ordered_by_id():
    geometry = make_geometry()
    a = make_fragment(1, geometry=geometry)
    b = make_fragment(1, geometry=geometry, start=9)  # the same K elsewhere: the same key
    assert sort_key(a) == sort_key(b)
    fragments = {f.fragment_id: f for f in (a, b)}
    placed = [p.fragment_id for p in canonical(fragments).placements]
    assert placed == sorted(fragments)


@pytest.mark.parametrize("layout", list(Layout))
@pytest.mark.parametrize("buffer_bytes", [64, 1000, 4 << 20])
@pytest.mark.parametrize("direct_bytes", [1, 256 << 10])
def test_the_stream_is_the_render(monkeypatch, layout, buffer_bytes, direct_bytes):
    monkeypatch.setattr(stream, "BUFFER_BYTES", buffer_bytes)
    monkeypatch.setattr(stream, "DIRECT_BYTES", direct_bytes)
    monkeypatch.setattr(stream, "_buffers", type(stream._buffers)())
    fragments = make_set([3, 30, 4], make_geometry(windows=(6,)))
    plan = canonical(fragments, layout=layout, stride=40 if layout is Layout.SLOTTED else None)
    whole = render(plan, fragments, engine=ReferenceEngine())
    streamed = b"".join(bytes(chunk) for chunk in render_chunks(plan, fragments))
    assert streamed == whole.to_bytes()
    assert Render.from_buffer(streamed).digest == whole.digest


@given(st.integers(0, 4000), st.integers(0, 4000))
@settings(max_examples=60, deadline=None)
def test_any_range_of_the_stream_is_that_slice(start, stop):
    fragments = make_set([3, 4], make_geometry(windows=(4,)))
    plan = canonical(fragments)
    whole = render(plan, fragments).to_bytes()
    got = b"".join(bytes(c) for c in render_chunks(plan, fragments, start=start, stop=stop))
    assert got == whole[start:stop]


def test_a_range_turns_only_the_sections_it_meets():
    fragments = make_set([3, 4])
    plan = canonical(fragments)
    turned = []

    class Counting(ReferenceEngine):
        def rotate(self, source, into, dtype, table):
            turned.append(source.shape)
            super().rotate(source, into, dtype, table)

    total = len(plan.framing) + plan.body_bytes
    list(render_chunks(plan, fragments, start=total - 10, engine=Counting()))
    assert turned == []  # the end of the stream is V


def test_some_layers_render_as_they_do_in_the_whole():
    fragments = make_set([3, 4])
    plan = canonical(fragments)
    whole = render(plan, fragments)
    part = render(canonical(fragments, layers=LayerRange(1, 2)), fragments)
    assert part.keys(1) == whole.keys(1)
    assert part.values(1) == whole.values(1)
    with pytest.raises(RangeNotSatisfiableError):
        part.keys(0)


def test_a_fragment_at_its_own_place_is_copied_verbatim():
    fragments = make_set([4])
    (fragment,) = fragments.values()
    keys = render(place([fragment.header]), fragments).keys(0)
    assert keys == fragment.keys(0)


def test_behind_a_prefix_nothing_moves_that_was_captured_there():
    prefix = make_fragment(7, seq_len=4)
    behind = make_fragment(8, start=4, seq_len=3, prefix=prefix.fragment_id)
    fragments = {f.fragment_id: f for f in (prefix, behind)}
    rendered = render(place([behind.header], [prefix.header]), fragments)
    keys = np.frombuffer(rendered.keys(0), dtype="<u2").reshape(2, 7, 8)
    assert keys[:, :4].tobytes() == bytes(prefix.keys(0))
    assert keys[:, 4:].tobytes() == bytes(behind.keys(0))


@pytest.mark.parametrize("layout", [Layout.PARALLEL, Layout.SLOTTED])
def test_fixed_places_leave_earlier_bytes_unchanged_when_one_is_added(layout):
    fragments = make_set([3, 4, 5])
    headers = [f.header for f in fragments.values()]
    stride = 6 if layout is Layout.SLOTTED else None
    two = render(place(headers[:2], layout=layout, stride=stride), fragments)
    three = render(place(headers, layout=layout, stride=stride), fragments)
    assert three.run_digests()[:2] == two.run_digests()[:2]
    for layer in range(3):
        a = np.frombuffer(two.keys(layer), "<u2").reshape(2, 7, 8)
        b = np.frombuffer(three.keys(layer), "<u2").reshape(2, 12, 8)
        assert np.array_equal(a, b[:, :7])


@pytest.mark.parametrize("windows", [(), (4,), (3, 3, 3)])
def test_a_receipt_has_the_digests_of_the_render(windows):
    fragments = make_set([3, 4, 2], make_geometry(windows=windows))
    plan = canonical(fragments)
    digests = tuple(run_digests(plan, fragments))
    keys = tuple(sort_key(fragments[p.fragment_id]) for p in plan.placements)
    Receipt(plan, keys, digests).check(render(plan, fragments).run_digests())


def test_known_digests_are_not_computed_again():
    fragments = make_set([3, 4])
    plan = canonical(fragments)
    known = {}
    first = list(run_digests(plan, fragments, known=known))

    class Refusing(ReferenceEngine):
        def rotate(self, source, into, dtype, table):
            raise AssertionError("turned again")

    assert list(run_digests(plan, fragments, known=known, engine=Refusing())) == first
    # Nor is anything looked up in the fragments' bodies.
    heads = {i: replace(f, body=memoryview(b"")) for i, f in fragments.items()}
    assert list(run_digests(plan, heads, known=known, engine=Refusing())) == first


@pytest.mark.parametrize("windows", [(), (3, 3, 3)])
def test_a_receipt_names_the_fragment_that_it_lacks(windows):
    fragments = make_set([3, 4], make_geometry(windows=windows))
    plan = canonical(fragments)
    lacking = plan.placements[-1].fragment_id
    held = {i: f for i, f in fragments.items() if i != lacking}
    with pytest.raises(FragmentNotFoundError, match=str(lacking)):
        list(run_digests(plan, held))


@pytest.mark.parametrize(("part", "offset"), [("keys", 0), ("values", -1)])
def test_a_receipt_names_the_first_differing_section(part, offset):
    fragments = make_set([3, 4])
    plan = canonical(fragments)
    receipt = Receipt(plan, (1.0, 2.0), tuple(run_digests(plan, fragments)))
    changed = bytearray(render(plan, fragments).to_bytes())
    body = len(plan.framing)
    changed[body if offset == 0 else -1] ^= 1
    with pytest.raises(DigestMismatchError) as caught:
        receipt.check(Render.from_buffer(bytes(changed)).run_digests())
    assert caught.value.details["part"] == part
    assert caught.value.details["layer"] == (0 if part == "keys" else 2)


def test_a_receipt_shows_keys_that_other_hardware_might_swap():
    fragments = make_set([3, 4, 5])
    plan = place([f.header for f in fragments.values()])
    receipt = Receipt(plan, (1.0, 1.0005, 2.0), ())
    ((a, b, gap),) = receipt.close_pairs
    assert [a, b] == [p.fragment_id for p in plan.placements[:2]]
    assert gap == pytest.approx(0.0005, rel=0.01)


def test_a_truncated_stream_is_refused():
    fragments = make_set([3])
    data = render(canonical(fragments), fragments).to_bytes()
    for cut in (1, len(data) - 20, len(data)):
        with pytest.raises(TruncatedError):
            Render.from_buffer(data[: len(data) - cut])


def test_a_stream_takes_bounded_memory_whatever_the_shape():
    # One layer of one head: the shape for which "a layer at a time" would hold everything.
    geometry = make_geometry(num_layers=1, num_kv_heads=1, head_dim=8)
    fragments = make_set([400_000, 400_000], geometry)
    plan = place([f.header for f in fragments.values()])
    list(render_chunks(plan, fragments))
    tracemalloc.start()
    size = sum(len(chunk) for chunk in render_chunks(plan, fragments))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 25_000_000
    assert peak < 8 << 20  # one buffer, if the pool had none, and a chunk's scratch
