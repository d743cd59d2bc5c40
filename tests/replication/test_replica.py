from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.geometry import Dtype
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.plan import LayerRange, Layout
from latentcrdt.core.query import RenderQuery
from latentcrdt.core.receipt import Receipt
from latentcrdt.errors import (
    AmbiguousClassError,
    ClassNotFoundError,
    DigestMismatchError,
    FragmentNotFoundError,
    IncompatibleFragmentsError,
    InvalidRequestError,
    NonFiniteKeysError,
    NothingToRenderError,
    PrefixMissingError,
    RangeNotSatisfiableError,
    StateNotFoundError,
    StoreFullError,
    TooLargeError,
    TruncatedError,
)
from latentcrdt.render.selection import select_engine
from latentcrdt.render.stream import run_digests
from latentcrdt.replication import prefix_chain
from latentcrdt.replication.replica import Replica
from latentcrdt.store.directory import DirectoryStore
from latentcrdt.store.memory import MemoryStore
from latentcrdt.testing.fragments import make_fragment, make_geometry

NAME, OTHER = StateName("task-42"), StateName("other")


@pytest.fixture(params=["memory", "directory"])
def replica(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Replica]:
    store = MemoryStore() if request.param == "memory" else DirectoryStore(tmp_path)
    replica = Replica(store)
    yield replica
    replica.close()


def push_all(replica: Replica, *fragments: Fragment, name: StateName = NAME) -> list[FragmentId]:
    for fragment in fragments:
        replica.push(name, fragment)
    return [fragment.fragment_id for fragment in fragments]


def order_of(replica: Replica, query: RenderQuery) -> list[FragmentId]:
    return [placement.fragment_id for placement in replica.plan(NAME, query).placements]


# Pushing


def test_a_push_tells_whether_the_state_grew(replica: Replica) -> None:
    fragment = make_fragment(1)
    first, second = replica.push(NAME, fragment), replica.push(NAME, fragment)
    assert (first.header, first.created) == (fragment.header, True)
    assert (second.header, second.created) == (fragment.header, False)
    assert replica.push(OTHER, fragment).created
    assert replica.states() == [OTHER, NAME]


def test_a_push_may_come_in_pieces(replica: Replica) -> None:
    data = make_fragment(1).to_bytes()
    result = replica.push(NAME, (data[i : i + 10] for i in range(0, len(data), 10)))
    assert replica.fragments.get(result.header.fragment_id).to_bytes() == data


def test_a_push_that_is_not_committed_leaves_nothing(replica: Replica) -> None:
    fragment = make_fragment(1)
    with replica.begin_push(NAME) as push:
        push.write(fragment.to_bytes())
    assert replica.missing([fragment.fragment_id]) == [fragment.fragment_id]
    assert replica.states() == []


@pytest.mark.parametrize("dtype", list(Dtype))
def test_keys_that_cannot_be_rotated_are_refused_and_nothing_is_left(
    replica: Replica, dtype: Dtype
) -> None:
    good = make_fragment(1, geometry=make_geometry(dtype=dtype))
    layers = [(bytearray(good.keys(i)), good.values(i)) for i in range(3)]
    nan = {Dtype.BF16: b"\xc0\x7f", Dtype.F16: b"\x00\x7e", Dtype.F32: b"\x00\x00\xc0\x7f"}[dtype]
    layers[1][0][: dtype.itemsize] = nan
    bad = Fragment.build(good.header.geometry, layers, start=0, seq_len=good.header.seq_len)
    with pytest.raises(NonFiniteKeysError, match="layer 1"):
        replica.push(NAME, bad)
    assert replica.missing([bad.fragment_id]) == [bad.fragment_id]
    assert replica.states() == []
    assert replica.push(NAME, good).created


def test_values_may_hold_anything(replica: Replica) -> None:
    good = make_fragment(1, geometry=make_geometry(dtype=Dtype.F32))
    nan = np.full(len(good.values(0)) // 4, np.nan, dtype="<f4").tobytes()
    layers = [(good.keys(i), nan) for i in range(3)]
    fragment = Fragment.build(good.header.geometry, layers, start=0, seq_len=good.header.seq_len)
    assert replica.push(NAME, fragment).created


def test_another_fragment_than_the_one_declared_is_refused(replica: Replica) -> None:
    expected = make_fragment(1).fragment_id
    with (
        replica.begin_push(NAME, expected_id=expected) as push,
        pytest.raises(DigestMismatchError),
    ):
        push.write(make_fragment(2).to_bytes())


def test_a_commit_before_the_last_byte_is_refused(replica: Replica) -> None:
    with replica.begin_push(NAME) as push:
        push.write(make_fragment(1).to_bytes()[:-1])
        with pytest.raises(TruncatedError):
            push.commit()
    assert replica.states() == []


def test_a_fragment_over_the_replicas_limit_is_refused() -> None:
    data = make_fragment(1).to_bytes()
    Replica(MemoryStore(), max_fragment_bytes=len(data)).push(NAME, [data])
    with pytest.raises(TooLargeError):
        Replica(MemoryStore(), max_fragment_bytes=len(data) - 1).push(NAME, [data])


def test_a_state_grows_only_after_its_membership_is_durable() -> None:
    class FullStore(MemoryStore):
        def merge(self, *_: object) -> None:
            raise StoreFullError("no room")

    replica = Replica(FullStore())
    with pytest.raises(StoreFullError):
        replica.push(NAME, make_fragment(1))
    with pytest.raises(StoreFullError):
        replica.declare(NAME)
    assert replica.states() == []


def test_many_threads_push_the_same_and_different_fragments(replica: Replica) -> None:
    fragments = [make_fragment(seed) for seed in range(10)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda f: replica.push(NAME, f), fragments * 4))
    created = [result.header.fragment_id for result in results if result.created]
    assert sorted(created) == sorted(fragment.fragment_id for fragment in fragments)
    assert replica.state(NAME).ids == tuple(sorted(created))


# States and members


def test_a_held_fragment_joins_another_state_without_being_sent(replica: Replica) -> None:
    (fragment_id,) = push_all(replica, make_fragment(1))
    assert replica.insert(OTHER, fragment_id)
    assert not replica.insert(OTHER, fragment_id)
    assert replica.state(OTHER) == replica.state(NAME)


def test_a_fragment_that_is_not_held_cannot_become_a_member(replica: Replica) -> None:
    fragment_id = make_fragment(1).fragment_id
    with pytest.raises(FragmentNotFoundError, match=str(fragment_id)):
        replica.insert(NAME, fragment_id)
    assert replica.states() == []


def test_a_state_is_declared_once(replica: Replica) -> None:
    assert replica.declare(NAME)
    assert not replica.declare(NAME)
    assert len(replica.state(NAME)) == 0
    push_all(replica, make_fragment(1))
    assert not replica.declare(NAME)
    assert len(replica.state(NAME)) == 1


def test_an_unknown_state_is_not_found(replica: Replica) -> None:
    for ask in (replica.state, replica.plan):
        with pytest.raises(StateNotFoundError, match="task-42"):
            ask(NAME)


def test_a_state_returned_is_a_copy(replica: Replica) -> None:
    push_all(replica, make_fragment(1))
    replica.state(NAME).insert(make_fragment(2).fragment_id)
    assert len(replica.state(NAME)) == 1


def test_missing_names_what_is_not_held_in_the_order_asked(replica: Replica) -> None:
    (held,) = push_all(replica, make_fragment(1))
    a, b = make_fragment(2).fragment_id, make_fragment(3).fragment_id
    assert replica.missing([b, held, a]) == [b, a]


def test_a_restart_finds_everything(tmp_path: Path) -> None:
    replica = Replica(DirectoryStore(tmp_path))
    push_all(replica, *map(make_fragment, range(6)))
    replica.declare(OTHER)
    before = (replica.states(), replica.state(NAME).root, replica.plan(NAME))
    stream = b"".join(map(bytes, replica.render_chunks(before[2])))
    replica.close()
    again = Replica(DirectoryStore(tmp_path))
    assert (again.states(), again.state(NAME).root, again.plan(NAME)) == before
    assert b"".join(map(bytes, again.render_chunks(before[2]))) == stream
    again.close()


def test_a_member_that_was_lost_is_named_and_pushing_it_again_heals(tmp_path: Path) -> None:
    replica = Replica(DirectoryStore(tmp_path))
    lost, kept = push_all(replica, make_fragment(1), make_fragment(2))
    replica.close()
    (tmp_path / "obj" / str(lost)[:2] / str(lost)).write_bytes(b"")
    again = Replica(DirectoryStore(tmp_path))
    assert again.state(NAME).ids == tuple(sorted([lost, kept]))
    with pytest.raises(FragmentNotFoundError, match=str(lost)):
        again.plan(NAME)
    assert not again.push(NAME, make_fragment(1)).created
    assert len(again.plan(NAME).placements) == 2
    again.close()


# Planning


def test_an_empty_state_has_nothing_to_render(replica: Replica) -> None:
    replica.declare(NAME)
    with pytest.raises(NothingToRenderError):
        replica.plan(NAME)
    with pytest.raises(NothingToRenderError):
        replica.plan(NAME, RenderQuery(order=()))


def test_canonical_order_is_by_sort_key(replica: Replica) -> None:
    ids = push_all(replica, *map(make_fragment, range(5)))
    assert order_of(replica, RenderQuery()) == sorted(
        ids, key=lambda i: (replica.fragments.sort_key(i), i)
    )


def test_bag_order_is_the_callers(replica: Replica) -> None:
    a, b, c = push_all(replica, *map(make_fragment, range(3)))
    assert order_of(replica, RenderQuery(order=(c, a))) == [c, a]
    forward = replica.plan(NAME, RenderQuery(order=(a, b)))
    backward = replica.plan(NAME, RenderQuery(order=(b, a)))
    assert forward.render_id != backward.render_id


def test_an_order_may_name_members_only(replica: Replica) -> None:
    (member,) = push_all(replica, make_fragment(1))
    (held,) = push_all(replica, make_fragment(2), name=OTHER)
    for stranger in (held, make_fragment(3).fragment_id):
        with pytest.raises(FragmentNotFoundError, match=str(stranger)):
            replica.plan(NAME, RenderQuery(order=(member, stranger)))


def test_two_classes_are_ambiguous_until_one_is_named(replica: Replica) -> None:
    one = make_fragment(1)
    two = make_fragment(2, geometry=make_geometry(num_layers=2))
    push_all(replica, one, two)
    with pytest.raises(AmbiguousClassError) as caught:
        replica.plan(NAME)
    classes = [one.header.class_id, two.header.class_id]
    assert caught.value.details["classes"] == sorted(map(str, classes))
    for fragment, class_id in zip((one, two), classes, strict=True):
        assert order_of(replica, RenderQuery(class_id=class_id)) == [fragment.fragment_id]
    with pytest.raises(IncompatibleFragmentsError):
        replica.plan(NAME, RenderQuery(order=(one.fragment_id, two.fragment_id)))
    with pytest.raises(ClassNotFoundError):
        replica.plan(NAME, RenderQuery(order=(one.fragment_id,), class_id=classes[1]))


def test_an_order_of_a_named_class_is_planned(replica: Replica) -> None:
    fragment = make_fragment(1)
    push_all(replica, fragment)
    query = RenderQuery(order=(fragment.fragment_id,), class_id=fragment.header.class_id)
    assert order_of(replica, query) == [fragment.fragment_id]


def chain_of(length: int) -> list[Fragment]:
    """Return fragments each captured behind the one before it."""
    chain = [make_fragment(0)]
    for seed in range(1, length):
        last = chain[-1]
        chain.append(make_fragment(seed, start=last.header.stop, prefix=last.fragment_id))
    return chain


def test_a_chain_of_prefixes_is_resolved_outermost_first(replica: Replica) -> None:
    *trunk, leaf = chain_of(4)
    push_all(replica, leaf)
    push_all(replica, *trunk, name=OTHER)  # held is enough; a prefix need not be a member
    plan = replica.plan(NAME)
    assert [p.fragment_id for p in plan.prefixes] == [f.fragment_id for f in trunk]
    assert all(p.delta == 0 for p in (*plan.prefixes, *plan.placements))
    assert plan.base == trunk[-1].header.stop
    assert set(replica.fragments_of(plan)) == {f.fragment_id for f in (*trunk, leaf)}
    # Nothing moved, so the render is the concatenation of what was captured.
    (width,) = {trunk[0].header.geometry.key_row_bytes(0)}
    body = b"".join(map(bytes, replica.render_chunks(plan)))[len(plan.framing) :]
    rows = [np.frombuffer(f.keys(0), "u1").reshape(2, -1, width) for f in (*trunk, leaf)]
    assert body[: plan.keys_bytes(0)] == np.concatenate(rows, axis=1).tobytes()


def test_a_prefix_that_is_not_held_is_named(replica: Replica) -> None:
    first, second, leaf = chain_of(3)
    push_all(replica, leaf)
    with pytest.raises(PrefixMissingError, match=str(second.fragment_id)):
        replica.plan(NAME)
    push_all(replica, second, name=OTHER)
    with pytest.raises(PrefixMissingError, match=str(first.fragment_id)):
        replica.plan(NAME)
    push_all(replica, first, name=OTHER)
    assert len(replica.plan(NAME).prefixes) == 2


def test_a_chain_is_bounded(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefix_chain, "MAX_PREFIXES", 3)
    *trunk, leaf = chain_of(5)
    push_all(replica, *trunk, name=OTHER)
    push_all(replica, trunk[3])
    assert len(replica.plan(NAME).prefixes) == 3
    replica.insert(NAME, push_all(replica, leaf, name=OTHER)[0])
    with pytest.raises(PrefixMissingError, match="at most 3"):
        replica.plan(NAME, RenderQuery(order=(leaf.fragment_id,)))


def test_layouts_layers_and_stride_reach_the_plan(replica: Replica) -> None:
    push_all(replica, *map(make_fragment, range(2)))
    plan = replica.plan(NAME, RenderQuery(layout=Layout.SLOTTED, stride=100, layers="1:2"))
    assert [p.new_start for p in plan.placements] == [0, 100]
    assert plan.layers == LayerRange(1, 2)
    with pytest.raises(InvalidRequestError):
        replica.plan(NAME, RenderQuery(stride=100))
    with pytest.raises(RangeNotSatisfiableError):
        replica.plan(NAME, RenderQuery(layers="1:9"))


def test_the_receipt_of_a_render_that_was_sent_turns_nothing_again(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    push_all(replica, *(make_fragment(i, start=9) for i in range(3)))
    plan, part = replica.plan(NAME), replica.plan(NAME, RenderQuery(layers="1:2"))
    list(replica.render_chunks(plan))
    expected = Receipt(
        plan,
        tuple(replica.fragments.sort_key(p.fragment_id) for p in plan.placements),
        tuple(run_digests(plan, replica.fragments_of(plan))),
    )

    def refuse(*_: object) -> None:
        raise AssertionError("turned again")

    monkeypatch.setattr(type(select_engine()), "rotate", refuse)
    assert replica.receipt(plan) == expected
    # The digests are of runs, whatever render they stand in: some layers, another layout.
    assert replica.receipt(part).digests == expected.digests[3:6]
    first = plan.placements[0].fragment_id
    alone = replica.plan(NAME, RenderQuery(order=(first,), layout=Layout.PARALLEL))
    assert replica.receipt(alone).digests == expected.digests[::3]


def test_what_a_render_lacks_is_told_before_its_first_byte(tmp_path: Path) -> None:
    replica = Replica(DirectoryStore(tmp_path))
    (fragment_id,) = push_all(replica, make_fragment(1))
    plan = replica.plan(NAME)
    (tmp_path / "obj" / str(fragment_id)[:2] / str(fragment_id)).unlink()
    with pytest.raises(FragmentNotFoundError):
        replica.render_chunks(plan)
    replica.close()
