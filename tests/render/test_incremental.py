"""A render that copies what an earlier one holds, against the render from scratch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentcrdt.core.documents import reuse_document
from latentcrdt.core.placement import place
from latentcrdt.core.plan import LayerRange, Layout
from latentcrdt.core.rendered import Render
from latentcrdt.core.reuse import Reuse
from latentcrdt.errors import FragmentNotFoundError
from latentcrdt.render.reference import ReferenceEngine
from latentcrdt.render.stream import render
from latentcrdt.testing.fragments import make_fragment, make_geometry
from latentcrdt.testing.strategies import fragments, geometries

STRIDE = {Layout.SEQUENTIAL: None, Layout.PARALLEL: None, Layout.SLOTTED: 9}


class Counting(ReferenceEngine):
    """Counts the rows that are turned, over all heads."""

    rows = 0

    def rotate(self, source, into, dtype, table):
        self.rows += source.shape[0] * source.shape[1]
        super().rotate(source, into, dtype, table)


def by_id(items):
    return {f.fragment_id: f for f in items}


def plan_of(items, layout=Layout.SEQUENTIAL, prefix=None, **options):
    prefixes = () if prefix is None else (prefix.header,)
    return place(
        [f.header for f in items], prefixes, layout=layout, stride=STRIDE[layout], **options
    )


def section(data, heads, dim):
    return np.frombuffer(data, "u1").reshape(heads, -1, dim)


@given(st.data(), geometries(), st.sampled_from(list(Layout)), st.booleans())
@settings(max_examples=150, deadline=None)
def test_reusing_an_earlier_render_changes_no_byte(data, geometry, layout, behind_a_prefix):
    """Any two subsets, in an order, and any layers; only what is lacking is given."""
    prefix = data.draw(fragments(geometry=geometry)) if behind_a_prefix else None
    member = fragments(geometry=geometry, prefix=prefix)
    items = data.draw(st.lists(member, min_size=1, max_size=5, unique_by=lambda f: f.fragment_id))
    chosen = st.sets(st.integers(0, len(items) - 1), min_size=1)
    earlier, later = ([items[i] for i in sorted(data.draw(chosen))] for _ in range(2))
    stop = data.draw(st.integers(1, len(geometry.layers)))
    before = plan_of(earlier, layout, prefix, layers=LayerRange(0, stop))
    after = plan_of(later, layout, prefix)
    held = by_id(items if prefix is None else [*items, prefix])
    reuse = Reuse(after, before)
    got = render(after, {i: held[i] for i in reuse.lacking}, reuse=render(before, held))
    assert got.to_bytes() == render(after, held).to_bytes()
    # What was reused is counted by its rows, here from the plans' own words.
    reused = 0
    for r in reuse.runs:
        spec = geometry.layers[r.layer]
        row = r.keys * spec.key_dim + r.values * spec.value_dim
        reused += spec.num_kv_heads * r.run.num_rows * row * geometry.dtype.itemsize
    assert reuse.reused_bytes == reused <= after.body_bytes


@pytest.mark.parametrize("windows", [(), (4,), (3, 3, 3)])
@pytest.mark.parametrize("layout", [Layout.PARALLEL, Layout.SLOTTED])
def test_fixed_places_turn_and_fetch_only_what_was_appended(layout, windows):
    geometry = make_geometry(windows=windows)
    *old, new = (
        make_fragment(i, geometry=geometry, start=40 + i, seq_len=n)
        for i, n in enumerate((3, 4, 5))
    )
    before, after = plan_of(old, layout), plan_of([*old, new], layout)
    assert Reuse(after, before).lacking == [new.fragment_id]
    engine = Counting()
    got = render(after, by_id([new]), reuse=render(before, by_id(old)), engine=engine)
    rows = [2 * min(5, w - 1) if w else 2 * 5 for w in [*windows, None, None, None][:3]]
    assert engine.rows == sum(rows)
    assert got.digest == render(after, by_id([*old, new])).digest


@pytest.mark.parametrize("layout", [Layout.PARALLEL, Layout.SLOTTED])
@given(seq_lens=st.lists(st.integers(1, 9), min_size=2, max_size=6))
@settings(max_examples=25, deadline=None)
def test_law_appending_at_fixed_places_leaves_earlier_bytes_unchanged(layout, seq_lens):
    items = [make_fragment(i, start=7 * i, seq_len=n) for i, n in enumerate(seq_lens)]
    before, after = plan_of(items[:-1], layout), plan_of(items, layout)
    assert after.placements[:-1] == before.placements
    old, new = render(before, by_id(items)), render(after, by_id(items))
    for layer in range(3):
        rows = sum(seq_lens[:-1])
        for part in (Render.keys, Render.values):
            earlier, later = section(part(old, layer), 2, 16), section(part(new, layer), 2, 16)
            assert np.array_equal(earlier, later[:, :rows])


@pytest.mark.parametrize("position", [0, 1, 2, 3])
def test_sequential_keeps_what_stands_before_the_insertion(position):
    items = [make_fragment(i, start=100, seq_len=4) for i in range(4)]
    others = items[:position] + items[position + 1 :]
    before, after = plan_of(others), plan_of(items)
    reuse = Reuse(after, before)
    assert reuse.lacking == [f.fragment_id for f in items[position:]]
    document = reuse_document(reuse)
    assert [entry["keys_reused"] for entry in document["fragments"]] == [
        3 if i < position else 0 for i in range(4)
    ]
    # V has no delta: it stays, wherever its fragment goes.
    assert [entry["values_reused"] for entry in document["fragments"]] == [
        0 if i == position else 3 for i in range(4)
    ]
    row_bytes = 3 * 2 * 4 * 8 * 2  # layers, heads, tokens, dimensions, bytes
    assert document["reused_bytes"] == (position + 3) * row_bytes
    assert document["body_bytes"] == 8 * row_bytes


def test_layers_without_rope_are_reused_at_any_delta():
    base = make_geometry(num_layers=2)
    first, second = base.layers
    nope = type(second)(second.num_kv_heads, second.key_dim, second.value_dim, None)
    geometry = type(base)(base.model_id, base.dtype, base.ropes, (first, nope))
    a, b = (make_fragment(i, geometry=geometry) for i in (1, 2))
    reuse = Reuse(plan_of([b, a]), plan_of([a]))
    moved = [r for r in reuse.runs if r.run.placement.fragment_id == a.fragment_id]
    assert [(r.layer, r.keys, r.values) for r in moved] == [(0, False, True), (1, True, True)]


@pytest.mark.parametrize("layers", [(3, 2), (2, 3)])
def test_a_render_of_another_geometry_gives_nothing(layers):
    a, b = (make_fragment(1, geometry=make_geometry(num_layers=n)) for n in layers)
    reuse = Reuse(plan_of([a]), plan_of([b]))
    assert (reuse.lacking, reuse.reused_bytes) == ([a.fragment_id], 0)
    got = render(plan_of([a]), by_id([a]), reuse=render(plan_of([b]), by_id([b])))
    assert got.digest == render(plan_of([a]), by_id([a])).digest


@pytest.mark.parametrize("seq_len", [2, 5])
def test_rows_that_the_earlier_window_had_dropped_are_not_taken_from_it(seq_len):
    geometry = make_geometry(windows=(4, 4, 4))
    a = make_fragment(1, geometry=geometry, seq_len=5)
    b = make_fragment(2, geometry=geometry, seq_len=seq_len)
    both, alone = plan_of([a, b]), plan_of([a])  # before b, one row of a is left, or none
    assert Reuse(alone, both).lacking == [a.fragment_id]
    assert Reuse(both, alone).lacking == [b.fragment_id]
    got = render(alone, by_id([a]), reuse=render(both, by_id([a, b])))
    assert got.digest == render(alone, by_id([a])).digest
    # And the other way: of the three rows of a that were there, the last ones are taken.
    got = render(both, by_id([b]), reuse=render(alone, by_id([a])))
    assert got.digest == render(both, by_id([a, b])).digest


def test_a_fragment_that_is_lacking_is_named():
    a, b = make_fragment(1), make_fragment(2)
    with pytest.raises(FragmentNotFoundError, match=str(b.fragment_id)):
        render(plan_of([a, b]), {}, reuse=render(plan_of([a]), by_id([a])))
