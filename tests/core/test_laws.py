"""The laws of a state-based CvRDT, one property each (Shapiro et al., 2011)."""

from __future__ import annotations

import blake3
from hypothesis import given
from hypothesis import strategies as st

from latentcrdt.core.delta import decode_delta, encode_delta
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.state import LatentState
from latentcrdt.testing.strategies import fragment_ids, state_names, states

POOL = [FragmentId(blake3.blake3(bytes([i])).digest()) for i in range(12)]


def join(*parts: LatentState) -> LatentState:
    joined = LatentState()
    for part in parts:
        joined.merge(part)
    return joined


@given(states(), states())
def test_merge_is_commutative(a, b):
    assert join(a, b) == join(b, a)


@given(states(), states(), states())
def test_merge_is_associative(a, b, c):
    assert join(join(a, b), c) == join(a, join(b, c))


@given(states())
def test_merge_is_idempotent(a):
    state = a.copy()
    assert not state.merge(a)
    assert state == a


@given(states(), states())
def test_merge_is_inflationary(a, b):
    joined = join(a, b)
    assert a <= joined
    assert b <= joined


@given(states(), states(), states())
def test_merge_is_the_least_upper_bound(a, b, c):
    assert join(a, b) <= join(a, b, c)
    if a <= c and b <= c:
        assert join(a, b) <= c


@given(states(), states())
def test_merge_says_whether_the_state_grew(a, b):
    joined = a.copy()
    assert joined.merge(b) == (joined != a)


@given(states(), states())
def test_order_is_antisymmetric(a, b):
    assert (a <= b and b <= a) == (a == b)  # noqa: PLR1716 - the law as it is written


@given(states(), fragment_ids())
def test_insert_is_the_merge_of_a_singleton(a, element):
    inserted, merged = a.copy(), a.copy()
    assert inserted.insert(element) == merged.merge(LatentState([element]))
    assert inserted == merged
    assert inserted.contains(element) != inserted.is_retracted


@given(states())
def test_retraction_is_the_top(a):
    top = LatentState(retracted=True)
    assert a <= top
    assert join(top, a) == join(a, top) == top
    assert len(top) == 0


@given(states(), states())
def test_the_later_end_of_two_lifetimes_counts(a, b):
    joined = join(a, b)
    if not joined.is_retracted:
        ends = [s.expires_at for s in (a, b) if s.expires_at is not None]
        assert joined.expires_at == max(ends, default=None)


@given(states(), states())
def test_merging_the_delta_brings_the_other_up_to_date(mine, theirs):
    delta = mine.delta(theirs)
    assert join(theirs, delta) == join(theirs, mine)
    if not mine.is_retracted and not theirs.is_retracted:
        assert set(delta) == set(mine) - set(theirs)


@given(states(), states())
def test_the_delta_is_empty_exactly_when_there_is_nothing_to_merge(mine, theirs):
    assert (mine.delta(theirs) == LatentState()) == (mine <= theirs)


@given(states(), states())
def test_roots_are_equal_exactly_when_the_sets_are(a, b):
    same = set(a) == set(b) and a.is_retracted == b.is_retracted
    assert (a.root == b.root) == same


@given(states())
def test_the_root_is_blake3_over_the_sorted_ids(a):
    state = LatentState()
    for element in a:
        state.insert(element)
    assert state.root == blake3.blake3(b"".join(sorted(set(a)))).digest()


@given(states())
def test_the_members_come_sorted_after_every_insert(a):
    state = LatentState()
    for element in a:
        state.insert(element)
        assert list(state) == sorted(set(state))
        assert len(state) == len(set(state))


@given(state_names(), states())
def test_a_state_survives_its_canonical_bytes(name, state):
    assert decode_delta(encode_delta(name, state)) == (name, state)


@given(st.permutations(POOL), st.lists(st.integers(0, 2), min_size=12, max_size=12))
def test_any_split_over_three_replicas_in_any_order_converges(order, owners):
    replicas = [LatentState(), LatentState(), LatentState()]
    for element, owner in zip(order, owners, strict=True):
        replicas[owner].insert(element)
    for _ in range(2):  # around the ring twice: everyone has heard of everyone
        for i in range(3):
            replicas[(i + 1) % 3].merge(replicas[i])
    assert {replica.root for replica in replicas} == {LatentState(POOL).root}


@given(st.lists(st.tuples(states(), st.booleans())))
def test_ids_and_root_are_those_of_the_set_whenever_they_are_looked_at(changes):
    state, expected = LatentState(), set()
    for other, looks in changes:
        state.merge(other)
        expected = set() if state.is_retracted else expected | set(other)
        if looks:
            assert state.ids == tuple(sorted(expected))
    assert state.copy().ids == tuple(sorted(expected))
    if not state.is_retracted:
        assert state.root == blake3.blake3(b"".join(sorted(expected))).digest()
