"""What metrics say is held, beside a walk over everything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from latentcrdt_server import inventory
from latentcrdt_server.inventory import Holdings, Inventory

from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.summary import Summary
from latentcrdt.core.sync.feed import Cursor, FeedPage
from latentcrdt.errors import StateRetractedError, StoreFailedError
from latentcrdt.replication.replica import Replica
from latentcrdt.store.memory import MemoryStore
from latentcrdt.testing.fragments import make_fragment

FRAGMENTS = [make_fragment(seed, seq_len=seed + 1) for seed in range(6)]

STATES = [StateName(name) for name in ("a", "b", "c")]

steps = st.one_of(
    st.tuples(st.just("push"), st.sampled_from(STATES), st.sampled_from(FRAGMENTS)),
    st.tuples(st.just("retract"), st.sampled_from(STATES), st.none()),
    st.tuples(st.just("declare"), st.sampled_from(STATES), st.none()),
    st.tuples(st.just("count"), st.none(), st.none()),
)


def walked(replica: Replica) -> Holdings:
    names = replica.states()
    members = {i for name in names for i in replica.state(name)}
    sizes = {f.fragment_id: f.num_bytes for f in FRAGMENTS}
    return Holdings(len(names), len(members), sum(sizes[i] for i in members), 0)


@given(st.lists(steps, max_size=30))
def test_counts_equal_a_walk_whatever_came_and_went(taken: list[tuple]) -> None:
    store = MemoryStore()
    replica, counted = Replica(store), Inventory()
    for what, name, fragment in taken:
        try:
            if what == "push":
                replica.push(name, fragment)
            elif what == "declare":
                replica.declare(name)
            elif what == "retract":
                replica.retract(name)
            else:
                assert counted.count(replica) == walked(replica)
        except StateRetractedError:
            continue
    assert counted.count(replica) == walked(replica)


class CountingStore(MemoryStore):
    """Counts the headers that are read, and fails when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.num_reads = 0
        self.fails = False

    def summary(self, fragment_id: FragmentId) -> Summary | None:
        self.num_reads += 1
        if self.fails:
            raise StoreFailedError("the disk is gone")
        return super().summary(fragment_id)

    def ids(self):  # type: ignore[no-untyped-def]
        raise AssertionError("walked the store")


def test_a_count_reads_what_is_new_and_nothing_else() -> None:
    store = CountingStore()
    replica, counted = Replica(store), Inventory()
    for fragment in FRAGMENTS[:4]:
        replica.push(STATES[0], fragment)
    for total, fragment in enumerate(FRAGMENTS[4:], start=5):
        counted.count(replica)
        replica.push(STATES[1], fragment)
        read_before = store.num_reads
        assert counted.count(replica).num_fragments == total
        assert store.num_reads == read_before + 1
        counted.count(replica)
        assert store.num_reads == read_before + 1


def test_a_store_that_fails_is_counted_all_the_same() -> None:
    store = CountingStore()
    replica, counted = Replica(store), Inventory()
    for fragment in FRAGMENTS[:2]:
        replica.push(STATES[0], fragment)
    store.fails = True
    assert counted.count(replica) == Holdings(1, 2, 0, 2)
    store.fails = False
    assert counted.count(replica) == walked(replica)


def test_a_count_that_takes_long_goes_on_at_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    replica, counted = Replica(store), Inventory()
    for fragment in FRAGMENTS:
        replica.push(STATES[0], fragment)
    clock = iter(range(1_000_000))
    # Each look at the clock is a second: the deadline, then one header.
    monkeypatch.setattr(inventory.time, "monotonic", lambda: next(clock))
    left = [counted.count(replica).num_unmeasured for _ in range(len(FRAGMENTS) + 1)]
    assert left == [5, 4, 3, 2, 1, 0, 0]
    assert counted.count(replica) == walked(replica)


def test_a_lost_member_is_forgotten_with_its_state() -> None:
    store = CountingStore()
    replica, counted = Replica(store), Inventory()
    replica.push(STATES[0], FRAGMENTS[0])
    store.fails = True
    assert counted.count(replica).num_unmeasured == 1
    replica.retract(STATES[0])
    assert counted.count(replica) == Holdings(0, 0, 0, 0)


def test_a_count_reads_the_feed_from_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    replica, counted = Replica(store), Inventory()
    asked: list[Cursor | None] = []
    changes = replica.changes

    def watched(after: Cursor | None = None) -> FeedPage:
        asked.append(after)
        return changes(after)

    monkeypatch.setattr(replica, "changes", watched)
    replica.push(STATES[0], FRAGMENTS[0])
    counted.count(replica)
    end = changes().cursor
    counted.count(replica)
    assert asked == [None, end]
