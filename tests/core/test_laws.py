"""The laws of a state-based CvRDT, one property each (Shapiro et al., 2011)."""

from __future__ import annotations

import blake3
from hypothesis import given
from hypothesis import strategies as st

from latentcrdt.core.ids import FragmentId
from latentcrdt.core.state import LatentState

# A small pool, so that drawn sets overlap often.
POOL = [FragmentId(blake3.blake3(bytes([i])).digest()) for i in range(12)]

ids = st.lists(st.sampled_from(POOL), max_size=12)


def join(*parts: LatentState) -> LatentState:
    joined = LatentState()
    for part in parts:
        joined.merge(part)
    return joined


@given(ids, ids)
def test_merge_is_commutative(a, b):
    assert join(LatentState(a), LatentState(b)) == join(LatentState(b), LatentState(a))


@given(ids, ids, ids)
def test_merge_is_associative(a, b, c):
    a, b, c = LatentState(a), LatentState(b), LatentState(c)
    assert join(join(a, b), c) == join(a, join(b, c))


@given(ids)
def test_merge_is_idempotent(a):
    state = LatentState(a)
    assert not state.merge(LatentState(a))
    assert state == LatentState(a)


@given(ids, ids)
def test_merge_is_inflationary(a, b):
    a, b = LatentState(a), LatentState(b)
    joined = join(a, b)
    assert a <= joined
    assert b <= joined


@given(ids, ids, ids)
def test_merge_is_the_least_upper_bound(a, b, c):
    a, b, upper = LatentState(a), LatentState(b), LatentState([*a, *b, *c])
    assert join(a, b) <= upper


@given(ids, ids)
def test_order_is_antisymmetric(a, b):
    a, b = LatentState(a), LatentState(b)
    assert (a <= b and b <= a) == (a == b)  # noqa: PLR1716 - the law as it is written


@given(ids, st.sampled_from(POOL))
def test_insert_is_the_merge_of_a_singleton(a, element):
    inserted, merged = LatentState(a), LatentState(a)
    assert inserted.insert(element) == merged.merge(LatentState([element]))
    assert inserted == merged
    assert inserted.contains(element)


@given(ids, ids)
def test_merging_the_delta_brings_the_other_up_to_date(a, b):
    mine, theirs = LatentState(a), LatentState(b)
    delta = mine.delta(theirs)
    assert set(delta) == set(a) - set(b)
    assert join(theirs, delta) == join(theirs, mine)


@given(ids, ids)
def test_roots_are_equal_exactly_when_the_sets_are(a, b):
    assert (LatentState(a).root == LatentState(b).root) == (set(a) == set(b))


@given(ids)
def test_the_root_is_blake3_over_the_sorted_ids(a):
    state = LatentState()
    for element in a:
        state.insert(element)
    assert state.root == blake3.blake3(b"".join(sorted(set(a)))).digest()


@given(ids)
def test_the_members_come_sorted_after_every_insert(a):
    state = LatentState()
    for element in a:
        state.insert(element)
        assert list(state) == sorted(set(state))
        assert len(state) == len(set(state))


@given(st.permutations(POOL), st.lists(st.integers(0, 2), min_size=12, max_size=12))
def test_any_split_over_three_replicas_in_any_order_converges(order, owners):
    replicas = [LatentState(), LatentState(), LatentState()]
    for element, owner in zip(order, owners, strict=True):
        replicas[owner].insert(element)
    for _ in range(2):  # around the ring twice: everyone has heard of everyone
        for i in range(3):
            replicas[(i + 1) % 3].merge(replicas[i])
    assert {replica.root for replica in replicas} == {LatentState(POOL).root}
