"""Where fragments are found, compared with a search through all states."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from latentcrdt_server.roster import Roster

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.replication.replica import Replica
from latentcrdt.store.memory import MemoryStore
from latentcrdt.testing.fragments import make_fragment


def _family() -> list[Fragment]:
    """Return two roots, what was captured behind the first, and what is behind that."""
    first, second = make_fragment(1), make_fragment(2)
    child = make_fragment(3, prefix=first.fragment_id, start=5)
    grandchild = make_fragment(4, prefix=child.fragment_id, start=10)
    return [first, second, child, grandchild]


FAMILY = _family()
PARENT = {f.fragment_id: f.header.prefix for f in FAMILY}
NAMES = [StateName(name) for name in "abc"]


def line(fragment_id: FragmentId | None) -> set[FragmentId]:
    """Return a fragment and all that it is behind."""
    return set() if fragment_id is None else {fragment_id} | line(PARENT[fragment_id])


@given(
    st.lists(st.tuples(st.sampled_from(NAMES), st.none() | st.sampled_from(FAMILY)), max_size=12),
    st.sets(st.sampled_from(NAMES)),
)
def test_a_fragment_is_found_where_it_is_and_where_what_is_behind_it_is(
    history: list[tuple[StateName, Fragment | None]], chosen: set[StateName]
) -> None:
    """States grow and are retracted, whatever they hold; all bytes are held all the time."""
    store = MemoryStore()
    replica = Replica(store)
    for fragment in FAMILY:
        replica.push(StateName("everything"), fragment)
    roster = Roster()
    states: dict[StateName, set[FragmentId]] = {name: set() for name in NAMES}
    for name, fragment in [*history, (NAMES[0], None)]:
        where = (replica, chosen.__contains__)
        members = set().union(*(states.get(c, set()) for c in chosen))
        within = set().union(*map(line, members))
        for i in PARENT:
            assert roster.is_member(i, *where) == (i in members)
            assert roster.is_within(i, *where) == (i in within)
        assert roster.members(*where) == members
        if fragment is None:
            replica.retract(name)
            states.pop(name, None)
        elif name in states:
            replica.insert(name, fragment.fragment_id)
            states[name].add(fragment.fragment_id)


def test_a_prefix_that_comes_after_what_is_behind_it_is_found_all_the_same() -> None:
    store = MemoryStore()
    replica = Replica(store)
    roster = Roster()
    mine, other = StateName("mine"), StateName("other")
    first, _, child, grandchild = FAMILY
    for name, fragment in ((mine, grandchild), (other, child), (other, first)):
        replica.push(name, fragment)
        assert roster.is_member(grandchild.fragment_id, replica, mine.__eq__)
    assert roster.is_within(first.fragment_id, replica, mine.__eq__)
    assert not roster.is_member(first.fragment_id, replica, mine.__eq__)


def test_all_pages_of_a_long_history_are_followed(monkeypatch) -> None:
    monkeypatch.setattr("latentcrdt.replication.feed.MAX_PAGE_ENTRIES", 2)
    store = MemoryStore()
    replica = Replica(store)
    for fragment in FAMILY:
        replica.push(StateName("a"), fragment)
    found = Roster().members(replica, lambda _: True)
    assert found == PARENT.keys()
