"""One server removes a fragment that another, at any point of its way, is adding again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.state import LatentState
from latentcrdt.errors import FragmentNotFoundError
from latentcrdt.store.object_store.store import TIDY_INTERVAL_S, ObjectStore
from latentcrdt.store.object_store.trash import GRACE_S
from latentcrdt.testing.fragments import make_fragment
from latentcrdt.testing.store_suite import NAME, OTHER, put
from tests.object_store.dict_bucket import AtCall, Crash, DictBucket, Handle, crash

PREFIX = make_fragment(1)
FRAGMENT = make_fragment(2, start=PREFIX.header.stop, prefix=PREFIX.fragment_id)


class Servers:
    """Two servers over a bucket that holds a fragment which no state has any more."""

    def __init__(self, cache: Path, held: Fragment) -> None:
        self.cache = cache
        self.bucket = DictBucket()
        self.adding, self.removing = Handle(self.bucket), Handle(self.bucket)
        self.adder = self.open(self.adding)
        self.remover = self.open(self.removing)
        put(self.adder, held)
        for store in (self.adder, self.remover):
            store.merge(OTHER, LatentState(retracted=True))
            store.refresh()

    def open(self, handle: Handle) -> ObjectStore:
        return ObjectStore(handle, self.cache, clock=self.bucket.clock)

    def remove(self, fragment: Fragment) -> None:
        self.remover.remove(fragment.fragment_id)
        self.remover.refresh()

    def insert(self, fragment: Fragment) -> bool:
        """Do as `Replica.insert` does: make a member of what is held; return whether it was."""
        if not self.adder.has(fragment.fragment_id):
            return False
        self.adder.merge(NAME, LatentState([fragment.fragment_id]))
        return True

    def assert_everyone_has(self, *fragments: Fragment) -> None:
        for store in (self.adder, self.remover, self.open(Handle(self.bucket))):
            store.refresh()
            for fragment in fragments:
                assert store.get(fragment.fragment_id).to_bytes() == fragment.to_bytes()


def interleaved(
    cache: Path, held: Fragment, outer: str, inner: Callable[[Servers], None]
) -> Iterator[Servers]:
    """Yield the servers when ``inner`` happens at each call of the outer one, in turn."""
    num_outcomes = 0
    for when in ("before", "after"):
        for number in range(100):
            servers = Servers(cache, held)
            at = AtCall(number, lambda: inner(servers))  # noqa: B023
            setattr(getattr(servers, outer), when, at)
            servers.at = at
            num_outcomes += 1
            yield servers
            if not at.done:
                break
    assert num_outcomes > 6


def test_a_fragment_is_there_whenever_another_server_removed_it_during_the_insert(
    tmp_path: Path,
) -> None:
    inserted = 0
    for servers in interleaved(tmp_path, PREFIX, "adding", lambda s: s.remove(PREFIX)):
        if servers.insert(PREFIX):
            inserted += 1
            servers.assert_everyone_has(PREFIX)
    assert inserted


def test_a_fragment_is_there_whenever_it_was_inserted_during_its_removal(tmp_path: Path) -> None:
    def insert(servers: Servers) -> None:
        servers.inserted = servers.insert(PREFIX)

    inserted = 0
    for servers in interleaved(tmp_path, PREFIX, "removing", insert):
        servers.remove(PREFIX)
        if servers.at.done and servers.inserted:
            inserted += 1
            servers.assert_everyone_has(PREFIX)
    assert inserted


def test_a_fragment_that_has_become_a_member_meanwhile_stays_where_it_is(tmp_path: Path) -> None:
    """The store has read of it, and the replica that decided had not yet been told."""
    servers = Servers(tmp_path, PREFIX)
    servers.insert(PREFIX)
    servers.remover.refresh()
    servers.remover.remove(PREFIX.fragment_id)
    assert servers.adder.has(PREFIX.fragment_id)


def test_a_fragment_is_there_whenever_it_was_pushed_during_its_removal(tmp_path: Path) -> None:
    def push(servers: Servers) -> None:
        put(servers.adder, PREFIX)
        assert servers.insert(PREFIX)

    for servers in interleaved(tmp_path, PREFIX, "removing", push):
        servers.remove(PREFIX)
        if servers.at.done:
            servers.assert_everyone_has(PREFIX)


def test_a_fragment_is_there_although_two_servers_removed_it_and_one_pushed_it_again(
    tmp_path: Path,
) -> None:
    def remove_and_push(servers: Servers) -> None:
        servers.adder.remove(PREFIX.fragment_id)
        put(servers.adder, PREFIX)
        assert servers.insert(PREFIX)

    for servers in interleaved(tmp_path, PREFIX, "removing", remove_and_push):
        servers.remove(PREFIX)
        if servers.at.done:
            servers.assert_everyone_has(PREFIX)


def test_a_prefix_is_there_whenever_something_behind_it_was_pushed_during_its_removal(
    tmp_path: Path,
) -> None:
    def push(servers: Servers) -> None:
        put(servers.adder, FRAGMENT)
        servers.pushed = servers.adder.has(PREFIX.fragment_id) and servers.insert(FRAGMENT)

    pushed = 0
    for servers in interleaved(tmp_path, PREFIX, "removing", push):
        servers.remove(PREFIX)
        if servers.at.done and servers.pushed:
            pushed += 1
            servers.remover.refresh()
            servers.assert_everyone_has(PREFIX, FRAGMENT)
    assert pushed


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_member_is_found_although_the_server_that_removed_it_crashed(
    tmp_path: Path, when: str
) -> None:
    for number in range(100):
        servers = Servers(tmp_path, PREFIX)
        at = AtCall(number, crash)
        assert servers.adder.has(PREFIX.fragment_id)
        setattr(servers.removing, when, at)
        with contextlib.suppress(Crash):
            servers.remove(PREFIX)
        servers.adder.merge(NAME, LatentState([PREFIX.fragment_id]))
        survivors = [servers.adder, servers.open(Handle(servers.bucket))]
        for store in survivors:
            assert store.get(PREFIX.fragment_id).to_bytes() == PREFIX.to_bytes()
        if not at.done:
            break
    assert number > 3


def test_the_trash_is_emptied_after_the_grace_period_and_members_are_put_back(
    tmp_path: Path,
) -> None:
    servers = Servers(tmp_path, PREFIX)
    put(servers.adder, FRAGMENT)
    for fragment in (PREFIX, FRAGMENT):
        servers.remover.remove(fragment.fragment_id)
    servers.adder.merge(NAME, LatentState([PREFIX.fragment_id]))
    tidier = servers.open(Handle(servers.bucket))
    for wait in (TIDY_INTERVAL_S, GRACE_S):
        servers.bucket.clock.now += wait
        tidier.refresh()
        assert any(key.startswith("trash/") for key in servers.bucket.objects_by_key) == (
            wait == TIDY_INTERVAL_S
        )
    assert tidier.has(PREFIX.fragment_id)
    assert not tidier.has(FRAGMENT.fragment_id)
    with pytest.raises(FragmentNotFoundError):
        tidier.get(FRAGMENT.fragment_id)


def test_a_server_that_did_not_remove_a_fragment_forgets_it_with_the_state(tmp_path: Path) -> None:
    servers = Servers(tmp_path, PREFIX)
    servers.insert(PREFIX)
    servers.remover.refresh()
    assert servers.adder.get(PREFIX.fragment_id)
    servers.remover.merge(NAME, LatentState(retracted=True))
    servers.remover.remove(PREFIX.fragment_id)
    servers.adder.refresh()
    with pytest.raises(FragmentNotFoundError):
        servers.adder.get(PREFIX.fragment_id)
