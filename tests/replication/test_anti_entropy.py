"""Two replicas, made equal: whatever either held, however often, whoever lies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentcrdt.core.encoding import Buffer
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.query import RenderQuery
from latentcrdt.core.state import LatentState
from latentcrdt.core.sync.feed import FeedPage
from latentcrdt.errors import (
    ConnectionFailedError,
    CorruptFragmentError,
    DigestMismatchError,
    FragmentNotFoundError,
    RemoteSyncError,
    StateRetractedError,
)
from latentcrdt.replication.anti_entropy import synchronise
from latentcrdt.replication.local_peer import LocalPeer
from latentcrdt.replication.replica import Replica
from latentcrdt.store.memory import MemoryStore
from latentcrdt.testing.fragments import make_fragment

A, B = StateName("a"), StateName("b")
POOL = [make_fragment(seed) for seed in range(6)]


class CountingPeer(LocalPeer):
    """Notes what it is asked."""

    def __init__(self, replica: Replica) -> None:
        super().__init__(replica)
        self.asked: Counter[str] = Counter()

    def __getattribute__(self, name: str) -> object:
        if name in ("roots", "changes", "compare", "pour", "take", "merge"):
            self.asked[name] += 1
        return super().__getattribute__(name)


def make_replica(*fragments: Fragment, name: StateName = A) -> Replica:
    replica = Replica(MemoryStore())
    for fragment in fragments:
        replica.push(name, fragment)
    return replica


def held(replica: Replica) -> dict[StateName, dict[FragmentId, bytes]]:
    return {
        name: {i: replica.fragments.get(i).to_bytes() for i in replica.state(name)}
        for name in replica.states()
    }


@st.composite
def replicas(draw: st.DrawFn) -> Replica:
    replica = Replica(MemoryStore())
    for name in draw(st.sets(st.sampled_from([A, B]))):
        replica.declare(name, expires_at=draw(st.none() | st.integers(1, 4)))
        for fragment in draw(st.lists(st.sampled_from(POOL), max_size=5)):
            replica.push(name, fragment)
        if draw(st.integers(0, 5)) == 0:
            replica.retract(name)
    return replica


@given(replicas(), replicas())
@settings(max_examples=60, deadline=None)
def test_one_round_makes_two_replicas_equal_and_neither_loses(here, there):
    before = [{name: r.state(name) for name in r.states()} for r in (here, there)]
    done = synchronise(LocalPeer(here), LocalPeer(there))
    assert done.is_equal
    assert here.roots().digest == there.roots().digest
    assert held(here) == held(there)
    for states in before:
        for name, state in states.items():
            if name in here.states():
                assert state <= here.state(name)


@given(replicas(), replicas(), replicas())
@settings(max_examples=30, deadline=None)
def test_three_replicas_around_a_ring_are_equal_after_two_rounds(a, b, c):
    peers = [LocalPeer(r) for r in (a, b, c)]
    for _ in range(2):
        for i in range(3):
            synchronise(peers[i], peers[(i + 1) % 3])
    assert len({r.roots().digest for r in (a, b, c)}) == 1
    assert held(a) == held(b) == held(c)


def test_with_a_bookmark_a_quiet_round_asks_each_side_once():
    here, there = CountingPeer(make_replica(POOL[0])), CountingPeer(make_replica(POOL[1]))
    bookmark = synchronise(here, there).bookmark
    bookmark = synchronise(here, there, bookmark).bookmark
    here.asked.clear()
    there.asked.clear()
    assert synchronise(here, there, bookmark).is_equal
    assert here.asked == there.asked == {"changes": 1}


def test_with_a_bookmark_only_news_are_copied_and_never_back():
    ours, theirs = make_replica(POOL[0]), make_replica(POOL[1])
    here, there = CountingPeer(ours), CountingPeer(theirs)
    bookmark = synchronise(here, there).bookmark
    theirs.push(B, POOL[2])
    ours.push(B, POOL[3])
    here.asked.clear()
    there.asked.clear()
    done = synchronise(here, there, bookmark)
    assert (done.taken.num_copied, done.given.num_copied) == (1, 1)
    assert "compare" not in here.asked + there.asked
    there.asked.clear()
    synchronise(here, there, done.bookmark)
    assert there.asked["take"] == 0
    assert held(ours) == held(theirs)


def test_a_replica_opened_again_is_compared_anew():
    store = MemoryStore()
    ours, theirs = Replica(store), make_replica(*POOL[:3])
    bookmark = synchronise(LocalPeer(ours), LocalPeer(theirs)).bookmark
    theirs.push(A, POOL[4])
    again = Replica(store)
    done = synchronise(LocalPeer(again), LocalPeer(theirs), bookmark)
    assert done.is_equal
    assert held(again) == held(theirs)


def test_equal_replicas_compare_one_digest():
    here, there = CountingPeer(make_replica(*POOL)), CountingPeer(make_replica(*POOL))
    assert synchronise(here, there).is_equal
    assert there.asked == {"roots": 1}


def test_an_empty_replica_reads_the_feed_of_the_other_from_its_beginning():
    there = CountingPeer(make_replica(*POOL))
    ours = Replica(MemoryStore())
    done = synchronise(LocalPeer(ours), there)
    assert done.taken.num_copied == len(POOL)
    assert there.asked["compare"] == 0
    assert done.bookmark is not None


def test_a_retraction_reaches_the_other_side_and_frees_its_space():
    ours, theirs = make_replica(POOL[0]), make_replica(POOL[0], POOL[1])
    bookmark = synchronise(LocalPeer(ours), LocalPeer(theirs)).bookmark
    ours.retract(A)
    assert synchronise(LocalPeer(ours), LocalPeer(theirs), bookmark).is_equal
    assert theirs.missing(f.fragment_id for f in POOL[:2]) == [f.fragment_id for f in POOL[:2]]
    with pytest.raises(StateRetractedError):
        theirs.push(A, POOL[2])


def test_delivery_of_an_old_state_does_not_resurrect_a_retracted_one():
    ours, stale = make_replica(*POOL[:3]), make_replica(*POOL[:3])
    ours.retract(A)
    done = synchronise(LocalPeer(ours), LocalPeer(stale))
    assert done.is_equal
    assert ours.states() == stale.states() == []


def test_a_fragment_lost_here_comes_back_from_the_peer():
    store = MemoryStore()
    ours, theirs = Replica(store), make_replica(*POOL[:3])
    synchronise(LocalPeer(ours), LocalPeer(theirs))
    store.remove(POOL[1].fragment_id)
    again = Replica(store)
    done = synchronise(LocalPeer(again), LocalPeer(theirs))
    assert done.taken.num_copied == 1
    assert again.unheld() == []
    assert held(again) == held(theirs)


def test_a_prefix_lost_here_comes_back_from_the_peer_though_it_is_no_member():
    outer = make_fragment(1, seq_len=3)
    inner = make_fragment(2, start=3, seq_len=2, prefix=outer.fragment_id)
    leaf = make_fragment(3, start=5, seq_len=2, prefix=inner.fragment_id)
    for lost in ([outer], [inner], [outer, inner], [outer, inner, leaf]):
        store = MemoryStore()
        ours, theirs = Replica(store), make_replica(leaf, POOL[0])
        for replica in (ours, theirs):
            for prefix in (outer, inner):
                with replica.begin_hold(prefix.fragment_id) as push:
                    push.write(prefix.to_bytes())
                    push.commit()
        synchronise(LocalPeer(ours), LocalPeer(theirs))
        for fragment in lost:
            store.remove(fragment.fragment_id)
        for again in (ours, Replica(store)):
            assert again.unheld() == [(A, leaf.fragment_id)]
        done = synchronise(LocalPeer(again), LocalPeer(theirs))
        assert not done.taken.failures
        assert again.unheld() == []
        assert again.plan(A, RenderQuery(order=(leaf.fragment_id,))).num_tokens == 7


def test_a_member_whose_prefix_nobody_has_is_as_equal_as_it_can_be():
    leaf = make_fragment(3, start=5, seq_len=2, prefix=make_fragment(2, start=3).fragment_id)
    ours, theirs = make_replica(leaf), make_replica(leaf)
    assert ours.unheld() == [(A, leaf.fragment_id)]
    done = synchronise(LocalPeer(ours), LocalPeer(theirs))
    assert done.is_equal
    assert done.taken.num_bytes == 0
    assert not done.has_failures


def test_what_a_fragment_stands_behind_comes_with_it_though_it_is_no_member():
    outer = make_fragment(1, seq_len=3)
    inner = make_fragment(2, start=3, seq_len=2, prefix=outer.fragment_id)
    leaf = make_fragment(3, start=5, seq_len=2, prefix=inner.fragment_id)
    theirs = make_replica(outer, inner, leaf, name=B)
    theirs.insert(A, leaf.fragment_id)
    theirs.retract(B)
    ours = Replica(MemoryStore())
    assert synchronise(LocalPeer(ours), LocalPeer(theirs)).is_equal
    assert ours.plan(A).render_id == theirs.plan(A).render_id


def test_a_prefix_that_is_lost_on_the_way_is_asked_for_again():
    """The member was inserted first, and then nobody missed its prefix."""
    outer = make_fragment(1, seq_len=3)
    leaf = make_fragment(2, start=3, seq_len=2, prefix=outer.fragment_id)
    theirs, ours = make_replica(outer, name=B), Replica(MemoryStore())
    theirs.push(A, leaf)
    theirs.retract(B)

    class Interrupted(LocalPeer):
        def pour(self, fragment_id: FragmentId, write: Callable[[Buffer], None]) -> None:
            if fragment_id == outer.fragment_id:
                raise ConnectionFailedError("cut off")
            super().pour(fragment_id, write)

    assert not synchronise(LocalPeer(ours), Interrupted(theirs)).is_equal
    assert A not in ours.states()
    assert synchronise(LocalPeer(ours), LocalPeer(theirs)).is_equal
    assert ours.plan(A).render_id == theirs.plan(A).render_id


def test_a_fragment_whose_prefix_was_never_pushed_is_copied_all_the_same():
    """Found by simulation, seed 6: one such member kept its state from ever being equal."""
    outer = make_fragment(1, seq_len=3)
    leaf = make_fragment(2, start=3, seq_len=2, prefix=outer.fragment_id)
    theirs, ours = make_replica(leaf), Replica(MemoryStore())
    assert synchronise(LocalPeer(ours), LocalPeer(theirs)).is_equal
    theirs.push(B, outer)
    assert synchronise(LocalPeer(ours), LocalPeer(theirs)).is_equal
    assert ours.plan(A).render_id == theirs.plan(A).render_id


class LyingPeer(LocalPeer):
    """Spoils the bytes of some fragments on their way."""

    def __init__(self, replica: Replica, spoil: Callable[[bytes], bytes], victim: FragmentId):
        super().__init__(replica)
        self._spoil = spoil
        self._victim = victim

    def pour(self, fragment_id: FragmentId, write: Callable[[Buffer], None]) -> None:
        data = self._replica.fragments.get(fragment_id).to_bytes()
        write(self._spoil(data) if fragment_id == self._victim else data)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[:-1] + bytes([data[-1] ^ 1]),
        lambda data: data[:100],
        lambda data: data + b"\\0",
        lambda data: b"",
        lambda data: POOL[5].to_bytes(),
    ],
    ids=["flipped bit", "cut short", "padded", "empty", "another fragment"],
)
def test_a_spoilt_fragment_is_never_visible_and_stops_no_other(spoil):
    ours, theirs = Replica(MemoryStore()), make_replica(*POOL[:3])
    victim = POOL[1].fragment_id
    done = synchronise(LocalPeer(ours), LyingPeer(theirs, spoil, victim))
    assert list(done.taken.failures) == [(A, victim)]
    assert not done.is_equal
    assert done.bookmark is None
    assert set(held(ours)[A]) == {POOL[0].fragment_id, POOL[2].fragment_id}
    assert ours.missing([victim, POOL[5].fragment_id]) == [victim, POOL[5].fragment_id]
    assert synchronise(LocalPeer(ours), LocalPeer(theirs)).is_equal


def test_a_member_that_nobody_holds_is_a_failure_and_stops_no_other():
    store = MemoryStore()
    theirs = Replica(store)
    for fragment in POOL[:3]:
        theirs.push(A, fragment)
    store.remove(POOL[1].fragment_id)
    ours = Replica(MemoryStore())
    done = synchronise(LocalPeer(ours), LocalPeer(theirs))
    (error,) = done.taken.failures.values()
    assert isinstance(error, FragmentNotFoundError)
    assert set(ours.state(A)) == {POOL[0].fragment_id, POOL[2].fragment_id}


def test_a_feed_tells_a_state_with_more_entries_than_a_page_whole(monkeypatch):
    monkeypatch.setattr("latentcrdt.replication.feed.MAX_PAGE_ENTRIES", 2)
    theirs, ours = make_replica(*POOL), Replica(MemoryStore())
    assert synchronise(LocalPeer(ours), LocalPeer(theirs)).is_equal
    assert ours.state(A) == theirs.state(A) == LatentState(f.fragment_id for f in POOL)


def test_a_feed_that_never_ends_is_given_up(monkeypatch):
    monkeypatch.setattr("latentcrdt.core.sync.exchange.MAX_PAGES", 50)

    class Endless(LocalPeer):
        def changes(self, after):
            page = super().changes(after)
            return FeedPage(page.cursor, is_last=False, deltas={})

    with pytest.raises(RemoteSyncError, match="expected an end within 50 pages"):
        synchronise(LocalPeer(Replica(MemoryStore())), Endless(make_replica(POOL[0])))


def test_a_damaged_source_is_reported_with_the_errors_own_class():
    class Damaged(LocalPeer):
        def pour(self, fragment_id: FragmentId, write: Callable[[Buffer], None]) -> None:
            raise CorruptFragmentError(f"fragment {fragment_id}: damaged")

    done = synchronise(LocalPeer(Replica(MemoryStore())), Damaged(make_replica(POOL[0])))
    assert [type(e) for e in done.taken.failures.values()] == [CorruptFragmentError]
    assert not isinstance(next(iter(done.taken.failures.values())), DigestMismatchError)
