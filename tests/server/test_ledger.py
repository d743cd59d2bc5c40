"""What counts towards a quota, compared with plain arithmetic on sets."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from latentcrdt_server.ledger import Holdings, Ledger, file_bytes

from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId
from latentcrdt.errors import BusyError, FragmentNotFoundError, QuotaExceededError
from latentcrdt.testing.fragments import make_fragment

FRAGMENTS = [make_fragment(n, seq_len=5 + n % 3) for n in range(6)]
HEADERS = [fragment.header for fragment in FRAGMENTS]
BY_ID = {header.fragment_id: header for header in HEADERS}

ids = st.sets(st.sampled_from(HEADERS), max_size=5)


def holdings(held: set[FragmentId]) -> Holdings:
    return Holdings(lambda: held, BY_ID.__getitem__)


def total(headers: set[FragmentHeader]) -> int:
    return sum(file_bytes(header) for header in headers)


def test_the_size_of_a_file_follows_from_its_header() -> None:
    for fragment in FRAGMENTS:
        assert file_bytes(fragment.header) == len(fragment.to_bytes())


@given(
    st.lists(ids, min_size=1, max_size=4),
    ids,
    st.sampled_from(HEADERS),
    st.none() | st.integers(1, 6),
    st.none() | st.integers(1, total(set(HEADERS))),
)
def test_there_is_room_exactly_when_held_and_coming_leave_some(
    history: list[set[FragmentHeader]],
    coming: set[FragmentHeader],
    asked: FragmentHeader,
    max_fragments: int | None,
    max_bytes: int | None,
) -> None:
    """States grow, shrink (retraction) and change between two questions."""
    ledger = Ledger("p", max_bytes, max_fragments)
    for held in history:
        known = {header.fragment_id for header in held}
        with ExitStack() as under_way:
            on_their_way = set()
            for header in coming:
                try:
                    under_way.enter_context(ledger.reserve(header, holdings(known)))
                except (QuotaExceededError, BusyError):
                    continue
                on_their_way.add(header)

            def fits(headers: set[FragmentHeader]) -> bool:
                few = max_fragments is None or len(headers) <= max_fragments
                return few and (max_bytes is None or total(headers) <= max_bytes)

            expected: type[Exception] | None = None
            if asked not in held and not fits(held | on_their_way | {asked}):
                expected = BusyError if fits(held | {asked}) else QuotaExceededError
            if expected is None:
                under_way.enter_context(ledger.reserve(asked, holdings(known)))
            else:
                with pytest.raises(expected):
                    under_way.enter_context(ledger.reserve(asked, holdings(known)))


def test_what_becomes_a_member_is_not_counted_twice() -> None:
    held: set[FragmentId] = set()
    ledger = Ledger("p", None, 2)
    first, second, third = HEADERS[:3]
    with ledger.reserve(first, holdings(held)):
        held.add(first.fragment_id)
        with ledger.reserve(second, holdings(held)):
            held.add(second.fragment_id)
    with pytest.raises(QuotaExceededError) as caught, ledger.reserve(third, holdings(held)):
        pass
    assert caught.value.details == {"what": "fragments", "limit": 2, "used": 2}
    with ledger.reserve(second, holdings(held)):
        pass


def test_one_fragment_that_comes_twice_at_once_needs_room_once() -> None:
    ledger = Ledger("p", None, 1)
    held: set[FragmentId] = set()
    with ledger.reserve(HEADERS[0], holdings(held)):
        with ledger.reserve(HEADERS[0], holdings(held)):
            pass
        with pytest.raises(BusyError), ledger.reserve(HEADERS[1], holdings(held)):
            pass
    with ledger.reserve(HEADERS[1], holdings(held)):
        pass


def test_a_member_whose_bytes_were_lost_counts_again_when_they_come_back() -> None:
    ledger = Ledger("p", None, 1)
    lost, other = HEADERS[:2]
    there: dict[FragmentId, FragmentHeader] = {other.fragment_id: other}

    def header_of(fragment_id: FragmentId) -> FragmentHeader:
        if fragment_id not in there:
            raise FragmentNotFoundError("lost")
        return there[fragment_id]

    known = Holdings(lambda: {lost.fragment_id}, header_of)
    with ledger.reserve(other, known):
        pass
    there[lost.fragment_id] = lost
    with pytest.raises(QuotaExceededError), ledger.reserve(other, known):
        pass


def test_many_threads_never_go_over_the_limit() -> None:
    fragments = [make_fragment(n).header for n in range(100, 124)]
    held: set[FragmentId] = set()
    ledger = Ledger("p", None, 7)
    lock, start = threading.Lock(), threading.Barrier(8)
    by_id = {header.fragment_id: header for header in fragments}

    def snapshot() -> set[FragmentId]:
        with lock:
            return set(held)

    known = Holdings(snapshot, by_id.__getitem__)

    def add(some: list[FragmentHeader]) -> None:
        start.wait()
        for header in some:
            while True:
                try:
                    with ledger.reserve(header, known), lock:
                        held.add(header.fragment_id)
                except BusyError:
                    continue  # others are on their way: it may yet fit
                except QuotaExceededError:
                    pass
                break

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, (fragments[n::8] for n in range(8))))
    assert len(held) == 7
