"""The feed: whoever follows it from anywhere learns everything, and the retracted takes no room."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.state import LatentState
from latentcrdt.core.sync.feed import Cursor
from latentcrdt.errors import CursorExpiredError
from latentcrdt.replication.feed import Feed

EPOCH = "0" * 16
NAMES = [StateName(f"state-{n}") for n in range(4)]
IDS = [FragmentId(bytes([n]) * 32) for n in range(8)]

CHANGES = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(NAMES), st.sets(st.sampled_from(IDS))),
        st.tuples(st.sampled_from(NAMES), st.none()),
    ),
    max_size=30,
)
"""Names with the ids that become members; None: the state is retracted."""


class Told:
    """A feed, and the states that it tells of."""

    def __init__(self) -> None:
        self.feed = Feed(EPOCH)
        self.states: dict[StateName, LatentState] = {}

    def change(self, name: StateName, ids: set[FragmentId] | None) -> None:
        delta = LatentState(ids or (), retracted=ids is None)
        state = self.states.setdefault(name, LatentState())
        if delta.is_retracted and not state.is_retracted:
            self.feed.retract(name, len(state))
        elif not state.is_retracted and not delta <= state:
            self.feed.append(name, delta.delta(state))
        state.merge(delta)

    def follow(self, known: dict[StateName, LatentState], cursor: Cursor | None) -> Cursor:
        """Merge what came since into what is known."""
        while True:
            page = self.feed.page(cursor, self.states)
            for name, delta in page.deltas.items():
                known.setdefault(name, LatentState()).merge(delta)
            assert cursor is None or page.cursor.position >= cursor.position
            cursor = page.cursor
            if page.is_last:
                return cursor


@pytest.fixture(params=[1, 2, 3, 1000], autouse=True)
def _page_entries(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latentcrdt.replication.feed.MAX_PAGE_ENTRIES", request.param)


@given(changes=CHANGES, looks=st.sets(st.integers(0, 30)))
def test_a_follower_that_looks_at_any_times_learns_what_one_at_the_end_does(changes, looks):
    told = Told()
    often: dict[StateName, LatentState] = {}
    cursors: list[Cursor | None] = [None]
    for turn, change in enumerate(changes):
        told.change(*change)
        if turn in looks:
            cursors.append(told.follow(often, cursors[-1]))
    told.follow(often, cursors[-1])
    new: dict[StateName, LatentState] = {}
    told.follow(new, None)
    expected = {name: state for name, state in told.states.items() if state != LatentState()}
    for known in (often, new):
        assert {n: s for n, s in known.items() if s != LatentState()} == expected
    with pytest.raises(CursorExpiredError):
        told.feed.page(Cursor(EPOCH, told.feed.cursor.position + 1), told.states)


def test_members_of_retracted_states_take_no_room_and_those_of_others_stay():
    told = Told()
    told.change(NAMES[0], set(IDS))
    for n in range(1000):
        name = StateName(f"short-lived-{n}")
        told.change(name, set(IDS))
        told.change(name, None)
    assert told.feed.cursor.position == 8 + 1000 * 9
    assert len(told.feed._entries) <= 2 * (8 + 1000 + 8)
    known: dict[StateName, LatentState] = {}
    told.follow(known, None)
    assert known == told.states
