"""The log is kept short, and whoever reads or writes it meanwhile misses nothing."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from latentcrdt.core.state import LatentState
from latentcrdt.errors import StoreFailedError
from latentcrdt.store.membership_record import encode_record
from latentcrdt.store.object_store import compaction
from latentcrdt.store.object_store.compaction import GRACE_S
from latentcrdt.store.object_store.lease import LEASE_S
from latentcrdt.store.object_store.store import TIDY_INTERVAL_S, ObjectStore
from latentcrdt.testing.fragments import make_fragment
from latentcrdt.testing.store_suite import NAME
from tests.object_store.dict_bucket import AtCall, DictBucket, Handle, fail

IDS = [make_fragment(seed).fragment_id for seed in range(9)]


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "MAX_SEGMENTS", 4)


@pytest.fixture
def bucket() -> DictBucket:
    return DictBucket()


class Server:
    """A store that inserts the ids it is given, one segment each."""

    def __init__(self, bucket: DictBucket, cache: Path) -> None:
        self.clock = bucket.clock
        self.handle = Handle(bucket)
        self.store = ObjectStore(self.handle, cache, clock=bucket.clock)

    def insert(self, *ids) -> None:
        for fragment_id in ids:
            self.store.merge(NAME, LatentState([fragment_id]))

    def tidy(self, *, after: float = TIDY_INTERVAL_S) -> None:
        self.clock.now += after
        self.store.refresh()


def segments(bucket: DictBucket) -> list[str]:
    return sorted(key for key in bucket.objects_by_key if key.startswith("log/"))


def read(bucket: DictBucket, cache: Path) -> dict:
    store = ObjectStore(Handle(bucket), cache, clock=bucket.clock)
    try:
        return store.states()
    finally:
        store.close()


def test_many_segments_become_one_after_the_grace_period(
    bucket: DictBucket, tmp_path: Path
) -> None:
    server = Server(bucket, tmp_path)
    server.insert(*IDS)
    server.tidy()
    assert len(segments(bucket)) == len(IDS) + 1
    server.tidy()
    assert len(segments(bucket)) == len(IDS) + 1
    server.tidy(after=GRACE_S)
    assert len(segments(bucket)) == 1
    assert read(bucket, tmp_path) == {NAME: LatentState(IDS)}


def test_the_segments_of_servers_that_have_ended_are_joined_too(
    bucket: DictBucket, tmp_path: Path
) -> None:
    for fragment_id in IDS:
        ended = Server(bucket, tmp_path)
        ended.insert(fragment_id)
        ended.store.close()
    server = Server(bucket, tmp_path)
    server.tidy()
    server.tidy(after=GRACE_S)
    assert len(segments(bucket)) == 1
    assert read(bucket, tmp_path) == {NAME: LatentState(IDS)}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(6))
def test_what_is_inserted_while_a_union_is_written_is_not_deleted_with_its_inputs(
    bucket: DictBucket, tmp_path: Path, when: str, number: int
) -> None:
    server, other = Server(bucket, tmp_path), Server(bucket, tmp_path)
    server.insert(*IDS[:6])

    def insert_more() -> None:
        server.insert(IDS[6])
        other.insert(IDS[7])

    setattr(server.handle, when, AtCall(number, insert_more))
    server.tidy()
    server.tidy(after=GRACE_S)
    server.tidy(after=GRACE_S)
    assert read(bucket, tmp_path) == {NAME: LatentState(IDS[:8])} == other_states(other)


def other_states(other: Server) -> dict:
    other.store.refresh()
    return other.store.states()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("opening", [True, False])
@pytest.mark.parametrize("steps", [1, 2])
def test_a_reader_misses_nothing_at_whatever_call_the_inputs_go(
    tmp_path: Path, when: str, opening: bool, steps: int
) -> None:
    """Either the union is written during its look, or the inputs of an older one are deleted."""
    for number in range(40):
        bucket = DictBucket()
        server = Server(bucket, tmp_path)
        reader = Server(bucket, tmp_path)
        server.insert(*IDS)
        if steps == 2:
            server.tidy()
        bucket.clock.now += GRACE_S
        handle = Handle(bucket) if opening else reader.handle
        at = AtCall(number, server.store.refresh)
        setattr(handle, when, at)
        if opening:
            reader.store = ObjectStore(handle, tmp_path, clock=bucket.clock)
        else:
            reader.store.refresh()
        assert reader.store.states() == {NAME: LatentState(IDS)}
        if not at.done:
            break
    assert number > 2


def test_a_listing_that_names_what_is_gone_for_ever_is_not_believed(
    bucket: DictBucket, tmp_path: Path
) -> None:
    server = Server(bucket, tmp_path)
    server.insert(*IDS)
    key = segments(bucket)[3]
    handle = Handle(bucket)
    handle.read = lambda asked: None if asked == key else bucket.read(asked)
    with pytest.raises(StoreFailedError, match="lag"):
        ObjectStore(handle, tmp_path)


def test_a_failure_while_tidying_takes_no_news_from_the_caller(tmp_path: Path) -> None:
    for number in range(40):
        bucket = DictBucket()
        server, reader = Server(bucket, tmp_path), Server(bucket, tmp_path)
        server.insert(*IDS)
        bucket.clock.now += TIDY_INTERVAL_S
        reader.handle.before = at = AtCall(number, fail)
        told = LatentState()
        for _ in range(2):
            with contextlib.suppress(StoreFailedError):
                told.merge(reader.store.refresh().get(NAME, LatentState()))
        assert told == LatentState(IDS)
        if not at.done:
            break
    assert number > len(IDS) + 5


def test_one_of_two_servers_tidies_until_it_ends(bucket: DictBucket, tmp_path: Path) -> None:
    first, second = Server(bucket, tmp_path), Server(bucket, tmp_path)
    first.insert(*IDS)
    first.tidy()
    before = segments(bucket)
    for _ in range(3):
        second.tidy(after=LEASE_S / 2)
        first.tidy(after=1)
    assert [key for key in segments(bucket) if key not in before] == []
    second.insert(*(make_fragment(seed).fragment_id for seed in range(100, 106)))
    for wait in (TIDY_INTERVAL_S, LEASE_S, GRACE_S):
        assert len(segments(bucket)) > 1
        second.tidy(after=wait)
    assert len(segments(bucket)) == 1


def test_a_segment_with_damage_is_kept_for_a_person_to_look_at(
    bucket: DictBucket, tmp_path: Path
) -> None:
    server = Server(bucket, tmp_path)
    server.insert(*IDS)
    damaged = segments(bucket)[2]
    bucket.put(damaged, b"\0" + encode_record(NAME, LatentState([IDS[2]])))
    server.store.close()
    later = Server(bucket, tmp_path)
    later.tidy()
    later.tidy(after=GRACE_S)
    assert damaged in segments(bucket)
    assert len(segments(bucket)) == 2
    assert read(bucket, tmp_path) == {NAME: LatentState(IDS)}
