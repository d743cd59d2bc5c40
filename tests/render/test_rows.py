"""Sections as arrays: they lie where the headers say, and every engine writes any part of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentcrdt.core.geometry import Dtype
from latentcrdt.core.placement import place
from latentcrdt.core.plan import Layout
from latentcrdt.errors import TruncatedError
from latentcrdt.render import torch_engine
from latentcrdt.render.bits import SMALLEST_KEY, UNSIGNED
from latentcrdt.render.numba_engine import NumbaEngine
from latentcrdt.render.reference import ReferenceEngine
from latentcrdt.render.rows import VERBATIM
from latentcrdt.render.sources import SectionSource
from latentcrdt.render.stream import render, render_chunks
from latentcrdt.render.tables import rotation_table
from latentcrdt.render.torch_engine import TorchEngine, Turner
from latentcrdt.testing.fragments import make_fragment, make_geometry
from latentcrdt.testing.strategies import fragments, geometries

ENGINES = [ReferenceEngine(), TorchEngine(), NumbaEngine()]


@st.composite
def plans(draw):
    geometry = draw(geometries())
    prefix = draw(st.none() | fragments(geometry=geometry))
    member = fragments(geometry=geometry, prefix=prefix)
    items = draw(st.lists(member, min_size=1, max_size=6, unique_by=lambda f: f.fragment_id))
    prefixes = () if prefix is None else (prefix.header,)
    plan = place(
        [f.header for f in items], prefixes, layout=draw(st.sampled_from(list(Layout)[:2]))
    )
    return plan, {f.fragment_id: f for f in [*items, *([] if prefix is None else [prefix])]}


def whole(section):
    return range(section.num_heads), range(section.num_rows)


@given(plans())
@settings(max_examples=60, deadline=None)
def test_runs_lie_where_the_headers_of_their_fragments_say(case):
    plan, held = case
    geometry, source = plan.geometry, SectionSource(*case)
    for layer, spec in enumerate(geometry.layers):
        for part, dim in (("keys", spec.key_dim), ("values", spec.value_dim)):
            section = getattr(source, part)(layer)
            for i, run in enumerate(plan.runs(layer)):
                data = getattr(held[run.placement.fragment_id], part)(layer)
                bits = np.frombuffer(data, UNSIGNED[geometry.dtype])
                bits = bits.reshape(spec.num_kv_heads, run.section_rows, dim)
                rows = range(run.num_rows)
                got = section.bits(i, range(spec.num_kv_heads), rows)
                assert np.array_equal(got, bits[:, run.first_row : run.first_row + run.num_rows])
                address = got.__array_interface__["data"][0]
                assert section.addresses[i] == address
                assert section.ends[i] <= len(held[run.placement.fragment_id].body)


@given(plans())
@settings(max_examples=60, deadline=None)
def test_runs_turn_by_the_deltas_of_their_placements(case):
    plan, _ = case
    source, dtype = SectionSource(*case), plan.geometry.dtype
    for layer in range(len(plan.geometry.layers)):
        section, rope = source.keys(layer), plan.geometry.rope_of(layer)
        for i, run in enumerate(plan.runs(layer)):
            table = section.table(i)
            if rope is None or run.placement.delta == 0:
                assert table is None
            else:
                expected = rotation_table(rope, run.placement.delta, dtype)
                assert table is not None
                assert table.rope == rope
                assert np.array_equal(table.cos, expected.cos)
                assert np.array_equal(table.sin, expected.sin)
        assert (source.values(layer).table_rows == VERBATIM).all()


@given(plans(), st.data())
@settings(max_examples=60, deadline=None)
def test_every_engine_writes_any_part_as_it_stands_in_the_whole(case, data):
    plan, _ = case
    source = SectionSource(*case)
    layer = data.draw(st.integers(0, len(plan.geometry.layers) - 1))
    for section in (source.keys(layer), source.values(layer)):
        shape = section.num_heads, section.num_rows, section.dim
        expected = np.empty(shape, UNSIGNED[section.dtype])
        ENGINES[0].write(section, *whole(section), expected)
        heads, rows = (
            data.draw(
                st.builds(
                    lambda a, b: range(min(a, b), max(a, b) + 1),
                    st.integers(0, n - 1),
                    st.integers(0, n - 1),
                )
            )
            for n in shape[:2]
        )
        part = expected[heads.start : heads.stop, rows.start : rows.stop]
        for engine in ENGINES:
            into = np.empty(part.shape, part.dtype)
            engine.write(section, heads, rows, into)
            assert np.array_equal(into, part), engine.name


@given(plans(), st.integers(1, 300), st.integers(1, 300))
@settings(max_examples=60, deadline=None)
def test_the_sizes_of_chunks_and_of_long_runs_change_no_byte(case, chunk, long):
    expected = render(*case, engine=ReferenceEngine()).digest
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch_engine, "CHUNK_ELEMENTS", chunk)
        patch.setattr(torch_engine, "LONG_ELEMENTS", long)
        assert render(*case, engine=TorchEngine()).digest == expected


@pytest.mark.parametrize("most_remembered", [1, 1000])
def test_tiny_keys_are_looked_for_once_in_each_run_and_still_flushed(monkeypatch, most_remembered):
    """Some sections of either fragment have tiny keys, and a window cuts a run with one."""
    monkeypatch.setattr(torch_engine, "LONG_ELEMENTS", 1)
    monkeypatch.setattr(torch_engine, "MOST_REMEMBERED", most_remembered)
    geometry = make_geometry(num_layers=4, windows=(7, 7))
    tiny = np.full(8, SMALLEST_KEY[Dtype.BF16] - 1, UNSIGNED[Dtype.BF16]).tobytes()
    with_tiny = {(1, 1): 0, (1, 2): 0, (2, 3): 4}  # (fragment, layer): row of head 0
    items = []
    for seed in (1, 2):
        made = make_fragment(seed, geometry=geometry, start=40 * seed)
        body = bytearray(made.body)
        for layer, row in ((i, r) for (s, i), r in with_tiny.items() if s == seed):
            at = made.header.keys_section(layer).offset + row * len(tiny)
            body[at : at + len(tiny)] = tiny
        items.append(replace(made, body=memoryview(body)))
    held = {f.fragment_id: f for f in items}
    looked_through = []
    may_be_tiny = Turner.may_be_tiny
    monkeypatch.setattr(
        Turner,
        "may_be_tiny",
        lambda turner, bits: looked_through.append(bits.shape) or may_be_tiny(turner, bits),
    )
    engine = TorchEngine()
    for rendered in (items[:1], items):
        plan = place([f.header for f in rendered])
        expected = render(plan, held, engine=ReferenceEngine()).digest
        for _ in range(2):
            looked_through.clear()
            assert render(plan, held, engine=engine).digest == expected
    # Again only where keys are flushed; the window of layer 1 has cut off its tiny row.
    assert most_remembered == 1 or len(looked_through) == 2


@pytest.mark.parametrize("engine", ENGINES[1:], ids=lambda e: e.name)
def test_a_run_between_two_that_turn_alike_keeps_its_own_table(engine):
    items = [make_fragment(i, start=40 * i, seq_len=3) for i in (1, 2, 3)]
    plan = place([f.header for f in items])
    section = SectionSource(plan, {f.fragment_id: f for f in items}).keys(0)
    section = replace(section, table_rows=np.array([0, 1, 0]))
    shape = section.num_heads, section.num_rows, section.dim
    expected, into = (np.empty(shape, UNSIGNED[section.dtype]) for _ in range(2))
    ReferenceEngine().write(section, *whole(section), expected)
    engine.write(section, *whole(section), into)
    assert np.array_equal(into, expected)


@pytest.mark.parametrize("engine", ENGINES, ids=lambda e: e.name)
def test_fragments_at_odd_addresses_render_alike(engine):
    items = [make_fragment(i, start=40 * i, seq_len=n) for i, n in enumerate((3, 4, 5))]
    plan = place([f.header for f in items])
    expected = render(plan, {f.fragment_id: f for f in items}, engine=ReferenceEngine())
    odd = {f.fragment_id: replace(f, body=memoryview(b"." + f.body)[1:]) for f in items}
    assert render(plan, odd, engine=engine).digest == expected.digest


@pytest.mark.parametrize("engine", ENGINES, ids=lambda e: e.name)
def test_a_body_that_is_cut_short_is_named(engine):
    a, b = make_fragment(1), make_fragment(2, start=9)
    cut = replace(b, body=b.body[:-1])
    plan = place([a.header, b.header])
    with pytest.raises(TruncatedError, match=str(b.fragment_id)):
        render(plan, {a.fragment_id: a, b.fragment_id: cut}, engine=engine)


def test_the_calls_of_an_engine_do_not_grow_with_the_fragments():
    """What a render of a thousand fragments costs more than one of two is not Python's doing."""

    class Counting(NumbaEngine):
        def __init__(self):
            super().__init__()
            self.calls = 0

        def write(self, section, heads, rows, into):
            self.calls += 1
            super().write(section, heads, rows, into)

    geometry = make_geometry(dtype=Dtype.BF16, num_layers=2, windows=(50,))
    calls = {}
    for count in (2, 200):
        items = [
            make_fragment(i, geometry=geometry, start=1000 + i, seq_len=200 // count)
            for i in range(count)
        ]
        engine = Counting()
        plan = place([f.header for f in items])
        list(render_chunks(plan, {f.fragment_id: f for f in items}, engine=engine))
        calls[count] = engine.calls
    assert max(calls.values()) == calls[200] == 4
