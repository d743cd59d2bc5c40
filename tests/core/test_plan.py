from __future__ import annotations

import blake3
import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentcrdt.core.compatibility import select_class
from latentcrdt.core.ids import ClassId, FragmentId
from latentcrdt.core.placement import canonical_order, place
from latentcrdt.core.plan import LayerRange, Layout, RenderPlan
from latentcrdt.core.query import RenderQuery
from latentcrdt.errors import (
    AmbiguousClassError,
    ClassNotFoundError,
    IncompatibleFragmentsError,
    InvalidRequestError,
    MalformedError,
    NotCanonicalError,
    NothingToRenderError,
    RangeNotSatisfiableError,
)
from latentcrdt.testing.fragments import make_fragment, make_geometry

lengths = st.lists(st.integers(1, 9), min_size=1, max_size=8)


def headers(seq_lens, geometry=None, **options):
    return [
        make_fragment(i, geometry=geometry, start=3 * i, seq_len=n, **options).header
        for i, n in enumerate(seq_lens)
    ]


@given(lengths)
def test_sequential_fragments_tile_the_positions(seq_lens):
    plan = place(headers(seq_lens))
    position = 0
    for placement in plan.placements:
        assert placement.new_start == position
        assert placement.delta == placement.new_start - placement.start
        position += placement.seq_len
    assert plan.next_position == plan.num_tokens == sum(seq_lens)


@given(lengths)
def test_parallel_fragments_all_start_at_base(seq_lens):
    plan = place(headers(seq_lens), layout=Layout.PARALLEL)
    assert {p.new_start for p in plan.placements} == {0}
    assert plan.next_position == max(seq_lens)


@given(lengths, st.integers(9, 20))
def test_slotted_fragments_start_a_stride_apart(seq_lens, stride):
    plan = place(headers(seq_lens), layout=Layout.SLOTTED, stride=stride)
    assert [p.new_start for p in plan.placements] == [j * stride for j in range(len(seq_lens))]


@given(lengths, st.integers(2, 30))
def test_a_sliding_layer_keeps_the_last_rows_of_the_concatenation(seq_lens, window):
    plan = place(headers(seq_lens, make_geometry(windows=(window,))))
    # Every (fragment, row) of the concatenation, as far as fragments keep it; the last ones win.
    kept = [
        (p.fragment_id, row)
        for p in plan.placements
        for row in range(p.seq_len - min(p.seq_len, window - 1), p.seq_len)
    ][-(window - 1) :]
    rows = []
    for run in plan.runs(0):
        dropped = run.placement.seq_len - run.section_rows
        first = dropped + run.first_row
        rows += [(run.placement.fragment_id, first + i) for i in range(run.num_rows)]
    assert rows == kept
    assert plan.num_rows(0) == len(kept) == min(sum(seq_lens), window - 1)


def test_a_prefix_comes_first_at_its_own_start_and_sets_the_base():
    prefix = make_fragment(9, start=2, seq_len=4).header
    behind = headers([3, 5], prefix=prefix.fragment_id)
    plan = place(behind, [prefix])
    assert plan.base == 6
    assert plan.prefixes[0].delta == 0
    assert plan.placements[0].new_start == 6
    assert plan.runs(0)[0].placement == plan.prefixes[0]


def test_prefixes_chain_without_gaps():
    outer = make_fragment(8, seq_len=4).header
    inner = make_fragment(9, start=4, seq_len=2, prefix=outer.fragment_id).header
    gap = make_fragment(9, start=5, seq_len=2, prefix=outer.fragment_id).header
    last = headers([3], prefix=inner.fragment_id)
    assert place(last, [outer, inner]).base == 6
    with pytest.raises(IncompatibleFragmentsError):
        place(headers([3], prefix=gap.fragment_id), [outer, gap])
    with pytest.raises(IncompatibleFragmentsError):
        place(last, [inner])
    with pytest.raises(IncompatibleFragmentsError):
        place(last)
    with pytest.raises(IncompatibleFragmentsError):
        place(headers([3]), [outer])


def test_a_prefix_of_another_geometry_is_refused():
    prefix = make_fragment(9, geometry=make_geometry(num_layers=2)).header
    with pytest.raises(IncompatibleFragmentsError):
        place(headers([3], prefix=prefix.fragment_id), [prefix])


def test_fragments_of_two_classes_are_not_placed_together():
    with pytest.raises(IncompatibleFragmentsError):
        place(
            [make_fragment(1).header, make_fragment(2, geometry=make_geometry(model_id="b")).header]
        )


def test_positions_past_the_limit_are_refused():
    short = headers([1, 1])
    with pytest.raises(IncompatibleFragmentsError):
        place(short, layout=Layout.SLOTTED, stride=2**31 - 1)


@pytest.mark.parametrize(
    ("layout", "stride"),
    [(Layout.SLOTTED, None), (Layout.SLOTTED, 4), (Layout.SEQUENTIAL, 9), (Layout.PARALLEL, 9)],
)
def test_a_stride_belongs_to_slots_and_holds_the_longest(layout, stride):
    with pytest.raises(InvalidRequestError):
        place(headers([5, 3]), layout=layout, stride=stride)


def test_nothing_is_not_placed():
    with pytest.raises(NothingToRenderError):
        place([])


def test_the_render_id_is_blake3_over_class_layout_base_and_deltas():
    plan = place(headers([3, 5]))
    deltas = [[bytes(p.fragment_id), p.delta] for p in plan.placements]
    fields = ["latentcrdt.render", 1, bytes(plan.class_id), "sequential", 0, deltas]
    assert plan.render_id == blake3.blake3(msgpack.packb(fields)).digest()


def test_the_class_id_is_blake3_over_geometry_and_prefix():
    header = make_fragment(1, prefix=FragmentId(bytes(32))).header
    fields = ["latentcrdt.class", 1, *header.geometry.fields(), bytes(32)]
    assert header.class_id == blake3.blake3(msgpack.packb(fields)).digest()


def test_order_and_layout_name_different_renders():
    a, b = headers([3, 5])
    names = {
        place([a, b]).render_id,
        place([b, a]).render_id,
        place([a, b], layout=Layout.PARALLEL).render_id,
        place([a, b], layout=Layout.SLOTTED, stride=5).render_id,
        place([a]).render_id,
    }
    assert len(names) == 5


def test_a_part_of_the_layers_has_its_own_etag_under_the_same_render_id():
    whole = place(headers([3]))
    part = place(headers([3]), layers=LayerRange(1, 2))
    assert whole.render_id == part.render_id
    assert whole.etag == str(whole.render_id)
    assert part.etag == f"{whole.render_id}.1-2"


@given(lengths, st.sampled_from(list(Layout)))
def test_a_plan_is_read_back_from_its_bytes(seq_lens, layout):
    stride = 9 if layout is Layout.SLOTTED else None
    plan = place(headers(seq_lens), layout=layout, stride=stride, layers=LayerRange(1, 3))
    assert RenderPlan.decode(plan.encoded) == plan


@pytest.mark.parametrize(
    ("position", "value"),
    [
        (6, "diagonal"),
        (8, []),
        (8, [[bytes(31), 0, 1, 0]]),
        (8, [[bytes(32), 0, 0, 0]]),
        (8, [[bytes(32), 0, 1, 2**31]]),
        (9, [0, 4]),
        (9, [2, 2]),
        (9, [-1, 2]),
    ],
)
def test_a_wrong_plan_is_refused(position, value):
    fields = msgpack.unpackb(place(headers([3])).encoded)
    fields[position] = value
    with pytest.raises(MalformedError):
        RenderPlan.decode(msgpack.packb(fields))


def test_a_second_spelling_of_a_plan_is_refused():
    data = place(headers([3])).encoded
    with pytest.raises(NotCanonicalError):
        RenderPlan.decode(data.replace(b"\x01", b"\xcc\x01", 1))


def test_canonical_order_is_by_key_then_by_id_bytes():
    a, b, c = (FragmentId(bytes([i]) * 32) for i in (3, 1, 2))
    assert canonical_order([(2.0, a), (1.0, b), (1.0, c)]) == [b, c, a]
    assert canonical_order([(1.0, c), (2.0, a), (1.0, b)]) == [b, c, a]


def test_one_class_is_found_without_asking():
    members = {h.fragment_id: h for h in headers([3, 4])}
    assert select_class(members) == members


def test_two_classes_are_ambiguous_and_listed():
    members = headers([3]) + headers([4], make_geometry(model_id="b"))
    by_id = {h.fragment_id: h for h in members}
    with pytest.raises(AmbiguousClassError) as caught:
        select_class(by_id)
    assert caught.value.details["classes"] == sorted(str(h.class_id) for h in members)
    for header in members:
        assert list(select_class(by_id, header.class_id)) == [header.fragment_id]
    with pytest.raises(ClassNotFoundError):
        select_class(by_id, ClassId(bytes(32)))


def test_a_fork_point_among_the_members_is_no_rival_class():
    fork = make_fragment(9, seq_len=2).header
    behind = headers([3, 4], prefix=fork.fragment_id)
    by_id = {h.fragment_id: h for h in [fork, *behind]}
    assert set(select_class(by_id)) == {h.fragment_id for h in behind}
    assert set(select_class(by_id, fork.class_id)) == {fork.fragment_id}


def test_an_empty_state_has_nothing_to_render():
    with pytest.raises(NothingToRenderError):
        select_class({})


@given(
    st.sampled_from(list(Layout)),
    st.none() | st.integers(0, 2**31),
    st.none()
    | st.lists(st.binary(min_size=32, max_size=32).map(FragmentId), min_size=1, unique=True),
    st.none() | st.binary(min_size=32, max_size=32).map(ClassId),
    st.none() | st.just("1:3"),
)
def test_a_query_survives_its_url_spelling(layout, stride, order, class_id, layers):
    query = RenderQuery(layout, stride, order and tuple(order), class_id, layers)
    assert RenderQuery.from_params(query.to_params()) == query


@pytest.mark.parametrize(
    "params",
    [
        {"layout": "diagonal"},
        {"stride": "-1"},
        {"stride": "1e3"},
        {"order": ",".join(["00" * 32] * 2)},
        {"colour": "red"},
    ],
)
def test_a_wrong_parameter_is_refused(params):
    with pytest.raises(InvalidRequestError):
        RenderQuery.from_params(params)


@pytest.mark.parametrize(("text", "expected"), [("0:3", (0, 3)), (":2", (0, 2)), ("1:", (1, 3))])
def test_a_layer_range_reads_as_a_slice(text, expected):
    assert LayerRange.parse(text, 3) == LayerRange(*expected)


@pytest.mark.parametrize("text", ["3:3", "0:4", "2:1", "4:", "0:0"])
def test_a_layer_range_outside_is_not_satisfiable(text):
    with pytest.raises(RangeNotSatisfiableError):
        LayerRange.parse(text, 3)


@pytest.mark.parametrize("text", ["", "1", "a:b", "-1:2", "1:2:3", "²:3", "0000000001:2"])
def test_what_is_no_layer_range_is_refused(text):
    with pytest.raises(InvalidRequestError):
        LayerRange.parse(text, 3)
