"""What counts towards a quota, compared with plain arithmetic on sets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from latentcrdt_server.grants import Grant
from latentcrdt_server.ledger import Ledger
from latentcrdt_server.principals import Principal, Quota
from latentcrdt_server.roster import Roster

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import StateName
from latentcrdt.errors import BusyError, QuotaExceededError, StateRetractedError
from latentcrdt.replication.replica import Replica
from latentcrdt.store.memory import MemoryStore
from latentcrdt.testing.fragments import make_fragment

FRAGMENTS = [make_fragment(n, seq_len=5 + n % 3) for n in range(6)]
OURS, THEIRS = [StateName("our-a"), StateName("our-b")], StateName("their-c")


class Metered:
    """A replica, and a principal that may add to some of its states."""

    def __init__(self, **limits: int | None) -> None:
        self.store = MemoryStore()
        self.replica = Replica(self.store)
        grants = (
            Grant.model_validate({"states": ["our-*"], "scopes": ["add"]}),
            Grant.model_validate({"states": ["*"], "scopes": ["read"]}),
        )
        quota = Quota(**limits)
        principal = Principal(name="p", digest="0" * 64, grants=grants, quota=quota)
        self.ledger = Ledger(principal, Roster())

    def reserve(self, fragment: Fragment) -> Iterator[None]:
        return self.ledger.reserve(fragment.header, self.replica)


def total(headers: set[FragmentHeader]) -> int:
    return sum(header.file_bytes for header in headers)


def test_the_size_of_a_file_follows_from_its_header() -> None:
    for fragment in FRAGMENTS:
        assert fragment.header.file_bytes == len(fragment.to_bytes())


@given(
    st.lists(
        st.tuples(st.sampled_from([*OURS, THEIRS]), st.none() | st.sampled_from(FRAGMENTS)),
        max_size=10,
    ),
    st.lists(st.sampled_from(FRAGMENTS), max_size=3),
    st.sampled_from(FRAGMENTS),
    st.none() | st.integers(1, 6),
    st.none() | st.integers(1, total({f.header for f in FRAGMENTS})),
)
def test_there_is_room_exactly_when_held_and_coming_leave_some(
    history: list[tuple[StateName, Fragment | None]],
    coming: list[Fragment],
    asked: Fragment,
    max_fragments: int | None,
    max_bytes: int | None,
) -> None:
    """States grow and are retracted; before and after each change there is a question."""
    metered = Metered(bytes=max_bytes, fragments=max_fragments)
    states: dict[StateName, set[FragmentHeader]] = {name: set() for name in [*OURS, THEIRS]}

    def fits(headers: set[FragmentHeader]) -> bool:
        few = max_fragments is None or len(headers) <= max_fragments
        return few and (max_bytes is None or total(headers) <= max_bytes)

    for name, fragment in [*history, (None, None)]:
        held = set().union(*(states.get(ours, set()) for ours in OURS))
        with ExitStack() as under_way:
            on_their_way = set()
            for one in coming:
                try:
                    under_way.enter_context(metered.reserve(one))
                except (QuotaExceededError, BusyError):
                    continue
                on_their_way.add(one.header)
            if asked.header in held or fits(held | on_their_way | {asked.header}):
                under_way.enter_context(metered.reserve(asked))
            else:
                expected = BusyError if fits(held | {asked.header}) else QuotaExceededError
                with pytest.raises(expected):
                    under_way.enter_context(metered.reserve(asked))
        if name is None:
            break
        if fragment is None:
            metered.replica.retract(name)
            states.pop(name, None)
        elif name in states:
            metered.replica.push(name, fragment)
            states[name].add(fragment.header)
        else:
            with pytest.raises(StateRetractedError):
                metered.replica.push(name, fragment)


def test_what_becomes_a_member_is_not_counted_twice() -> None:
    metered = Metered(fragments=2)
    first, second, third = FRAGMENTS[:3]
    with metered.reserve(first):
        metered.replica.push(OURS[0], first)
        with metered.reserve(second):
            metered.replica.push(OURS[1], second)
    with pytest.raises(QuotaExceededError) as caught, metered.reserve(third):
        pass
    assert caught.value.details == {"what": "fragments", "limit": 2, "used": 2}
    with metered.reserve(second):
        pass


def test_one_fragment_that_comes_twice_at_once_needs_room_once() -> None:
    metered = Metered(fragments=1)
    first, second = FRAGMENTS[:2]
    with metered.reserve(first):
        with metered.reserve(first):
            pass
        with pytest.raises(BusyError), metered.reserve(second):
            pass
    with metered.reserve(second):
        pass


def test_a_member_whose_bytes_were_lost_counts_again_when_they_come_back() -> None:
    metered = Metered(fragments=1)
    lost, other = FRAGMENTS[:2]
    metered.replica.push(OURS[0], lost)
    metered.store.remove(lost.fragment_id)
    with metered.reserve(other):
        pass
    metered.replica.push(OURS[0], lost)
    with pytest.raises(QuotaExceededError), metered.reserve(other):
        pass


def test_many_threads_never_go_over_the_limit() -> None:
    fragments = [make_fragment(n) for n in range(100, 124)]
    metered = Metered(fragments=7)
    start = threading.Barrier(8)

    def add(some: list[Fragment]) -> None:
        start.wait()
        for fragment in some:
            while True:
                try:
                    with metered.reserve(fragment):
                        metered.replica.push(OURS[0], fragment)
                except BusyError:
                    continue  # others are on their way: it may yet fit
                except QuotaExceededError:
                    pass
                break

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, (fragments[n::8] for n in range(8))))
    assert len(metered.replica.state(OURS[0])) == 7
