"""A process that ends, or a service that fails, at any call: nothing acknowledged is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from latentcrdt.core.state import LatentState
from latentcrdt.errors import StoreFailedError
from latentcrdt.store.membership_record import encode_record
from latentcrdt.store.object_store import compaction
from latentcrdt.store.object_store.bucket import ObjectInfo
from latentcrdt.store.object_store.compaction import GRACE_S
from latentcrdt.store.object_store.store import TIDY_INTERVAL_S, ObjectStore
from latentcrdt.testing.fragments import make_fragment
from latentcrdt.testing.store_suite import NAME, put
from tests.object_store.dict_bucket import AtCall, Crash, DictBucket, Handle, crash, fail

FRAGMENTS = {f.fragment_id: f for f in map(make_fragment, range(12))}

MAX_CALLS = 200
"""More than any run here makes."""


def add_everything_and_tidy(
    bucket: DictBucket, handle: Handle, cache: Path, acknowledged: set
) -> None:
    """Insert every fragment, one segment each, until unions are written and inputs deleted."""
    store = ObjectStore(handle, cache, clock=bucket.clock)
    for fragment_id, fragment in FRAGMENTS.items():
        put(store, fragment)
        store.merge(NAME, LatentState([fragment_id]))
        acknowledged.add(fragment_id)
        bucket.clock.now += max(TIDY_INTERVAL_S, GRACE_S / 3)
        store.refresh()


def assert_holds(bucket: DictBucket, cache: Path, acknowledged: set) -> None:
    again = ObjectStore(Handle(bucket), cache, clock=bucket.clock)
    members = set(again.states().get(NAME, ()))
    assert acknowledged <= members <= set(FRAGMENTS)
    for fragment_id in members:
        assert again.get(fragment_id).to_bytes() == FRAGMENTS[fragment_id].to_bytes()
    again.close()


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "MAX_SEGMENTS", 2)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_at_any_call_loses_nothing_acknowledged(tmp_path: Path, when: str) -> None:
    for number in range(MAX_CALLS):
        bucket = DictBucket()
        handle = Handle(bucket)
        at = AtCall(number, crash)
        setattr(handle, when, at)
        acknowledged: set = set()
        try:
            add_everything_and_tidy(bucket, handle, tmp_path, acknowledged)
        except Crash:
            assert at.done
        assert_holds(bucket, tmp_path, acknowledged)
        if not at.done:
            break
    assert len(acknowledged) == len(FRAGMENTS)
    assert number > 80


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_failed_call_fails_one_request_and_the_rest_goes_on(tmp_path: Path, when: str) -> None:
    for number in range(MAX_CALLS):
        bucket = DictBucket()
        handle = Handle(bucket)
        store = ObjectStore(handle, tmp_path, clock=bucket.clock)
        reader = ObjectStore(Handle(bucket), tmp_path, clock=bucket.clock)
        at = AtCall(number, fail)
        setattr(handle, when, at)
        for fragment_id, fragment in FRAGMENTS.items():
            insist(partial(put, store, fragment))
            insist(partial(store.merge, NAME, LatentState([fragment_id])))
            bucket.clock.now += TIDY_INTERVAL_S
            insist(store.refresh)
            reader.refresh()
        assert reader.states() == store.states() == {NAME: LatentState(FRAGMENTS)}
        assert_holds(bucket, tmp_path, set(FRAGMENTS))
        store.close()
        reader.close()
        if not at.done:
            break
    assert number > 80


def test_what_a_failed_write_held_reaches_readers_that_have_gone_past_it(tmp_path: Path) -> None:
    """It took place late: after its successor, which the reader had already read."""
    bucket = DictBucket()
    handle = Handle(bucket)
    writer = ObjectStore(handle, tmp_path, clock=bucket.clock)
    reader = ObjectStore(Handle(bucket), tmp_path, clock=bucket.clock)
    first, second = list(FRAGMENTS)[:2]
    handle.before = AtCall(0, fail)
    with pytest.raises(StoreFailedError):
        writer.merge(NAME, LatentState([first]))
    writer.merge(NAME, LatentState([second]))
    reader.refresh()
    (successor,) = bucket.objects_by_key
    late = successor.rpartition("/")[0] + f"/{0:012x}"
    assert late < successor
    bucket.put(late, encode_record(NAME, LatentState([first])))
    reader.refresh()
    opened_later = ObjectStore(Handle(bucket), tmp_path, clock=bucket.clock)
    assert reader.states() == opened_later.states() == writer.states()
    assert reader.states() == {NAME: LatentState([first, second])}


def test_a_segment_that_a_listing_left_out_is_found_before_its_successor_is_passed(
    tmp_path: Path,
) -> None:
    """The listing had gone past its place when it was written, and not past its successor's."""
    bucket = DictBucket()
    writer = ObjectStore(Handle(bucket), tmp_path, clock=bucket.clock)
    handle = Handle(bucket)
    reader = ObjectStore(handle, tmp_path, clock=bucket.clock)
    for fragment_id in FRAGMENTS:
        writer.merge(NAME, LatentState([fragment_id]))
        if len(writer.states()[NAME]) == 3:
            reader.refresh()
    left_out = sorted(bucket.objects_by_key)[5]
    listings = []

    def objects(prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        listings.append(prefix)
        found = bucket.objects(prefix, after=after)
        return (i for i in found if len(listings) > 1 or i.key != left_out)

    handle.objects = objects
    reader.refresh()
    assert reader.states() == writer.states() == {NAME: LatentState(FRAGMENTS)}


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_failed_write_is_in_the_end_seen_by_its_own_server_as_by_all(
    tmp_path: Path, when: str
) -> None:
    """It may have taken place, and others have seen it."""
    bucket = DictBucket()
    handle = Handle(bucket)
    writer = ObjectStore(handle, tmp_path, clock=bucket.clock)
    reader = ObjectStore(Handle(bucket), tmp_path, clock=bucket.clock)
    delta = LatentState([next(iter(FRAGMENTS))])
    setattr(handle, when, AtCall(0, fail))
    with pytest.raises(StoreFailedError):
        writer.merge(NAME, delta)
    assert writer.refresh() == {NAME: delta}
    assert writer.refresh() == {}
    assert reader.refresh() == {NAME: delta}
    assert reader.states() == writer.states() == {NAME: delta}


def insist(act: Callable[[], object]) -> None:
    """Do it again if it fails, as a client does."""
    try:
        act()
    except StoreFailedError:
        act()
