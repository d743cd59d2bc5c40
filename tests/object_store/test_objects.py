"""Damaged objects, services that answer wrongly, and the cache between them and a reader."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier

import pytest

from latentcrdt.core.container import FRAGMENT_MAGIC, frame
from latentcrdt.errors import (
    CorruptFragmentError,
    FragmentNotFoundError,
    InvalidRequestError,
    StoreFailedError,
    StoreFullError,
    TooLargeError,
)
from latentcrdt.store.object_store.obstore_bucket import ObstoreBucket, _service_errors
from latentcrdt.store.object_store.store import MAX_OBJECT_BYTES, ObjectStore
from latentcrdt.store.object_store.trash import object_key
from latentcrdt.store.protocol import Store
from latentcrdt.testing.fragments import make_fragment
from latentcrdt.testing.store_suite import put
from tests.object_store.dict_bucket import AtCall, DictBucket, Handle, fail

FRAGMENT = make_fragment(1, seq_len=200)
KEY = object_key(FRAGMENT.fragment_id)


@pytest.fixture
def bucket() -> DictBucket:
    return DictBucket()


@pytest.fixture
def handle(bucket: DictBucket) -> Handle:
    return Handle(bucket)


@pytest.fixture
def store(bucket: DictBucket, handle: Handle, tmp_path: Path) -> Iterator[Store]:
    """A store whose cache is empty, over a bucket that another one has written to."""
    writer = ObjectStore(Handle(bucket), tmp_path, clock=bucket.clock)
    put(writer, FRAGMENT)
    writer.close()
    reader = ObjectStore(handle, tmp_path, clock=bucket.clock)
    yield reader
    reader.close()


@pytest.mark.parametrize("position", [0, 8, 100, -1])
def test_a_damaged_object_is_hidden_until_the_fragment_is_pushed_again(
    bucket: DictBucket, store: Store, position: int
) -> None:
    damaged = bytearray(FRAGMENT.to_bytes())
    damaged[position] ^= 1
    bucket.put(KEY, damaged)
    with pytest.raises(CorruptFragmentError, match=str(FRAGMENT.fragment_id)):
        store.get(FRAGMENT.fragment_id)
    assert not store.has(FRAGMENT.fragment_id)
    assert list(store.ids()) == []
    with pytest.raises(FragmentNotFoundError):
        store.get(FRAGMENT.fragment_id)
    assert put(store, FRAGMENT)
    assert store.has(FRAGMENT.fragment_id)
    assert bucket.read(KEY) == FRAGMENT.to_bytes()


@pytest.mark.parametrize("size", [0, 1, 16, 300, -1])
def test_an_object_cut_short_is_damaged_for_every_reader(
    bucket: DictBucket, tmp_path: Path, size: int
) -> None:
    bucket.put(KEY, FRAGMENT.to_bytes()[:size])
    for ask in ("get", "header", "verify"):
        store = ObjectStore(Handle(bucket), tmp_path)
        with pytest.raises(CorruptFragmentError):
            getattr(store, ask)(FRAGMENT.fragment_id)
        store.close()


def test_a_push_heals_what_no_one_has_yet_found_damaged(bucket: DictBucket, store: Store) -> None:
    """That the key exists, with the right size, is no proof."""
    bucket.put(KEY, bytes(FRAGMENT.num_bytes))
    assert not put(store, FRAGMENT)
    assert bucket.read(KEY) == FRAGMENT.to_bytes()


def test_verify_reads_the_bucket_although_the_cache_has_it(
    bucket: DictBucket, store: Store
) -> None:
    store.get(FRAGMENT.fragment_id)
    bucket.put(KEY, bytes(FRAGMENT.num_bytes))
    with pytest.raises(CorruptFragmentError):
        store.verify(FRAGMENT.fragment_id)


@pytest.mark.parametrize("ask", ["get", "header", "verify", "has"])
def test_a_failing_service_is_never_a_missing_fragment(
    handle: Handle, store: Store, ask: str
) -> None:
    number = 0
    while True:
        handle.before = at = AtCall(number, fail)
        try:
            getattr(store, ask)(FRAGMENT.fragment_id)
        except StoreFailedError:
            number += 1
        if not at.done:
            break
    assert number >= 1


def test_a_fragment_is_fetched_once_however_many_ask(handle: Handle, store: Store) -> None:
    reads = []
    handle.before = lambda name: reads.append(name) if name == "read_range" else None
    with ThreadPoolExecutor(8) as pool:
        got = pool.map(lambda _: store.get(FRAGMENT.fragment_id).to_bytes(), range(32))
    assert set(got) == {FRAGMENT.to_bytes()}
    assert len(reads) == 1


def test_a_fragment_on_its_way_holds_up_no_other(
    bucket: DictBucket, handle: Handle, store: Store
) -> None:
    others = [make_fragment(seed) for seed in range(100, 400)]
    bucket.objects_by_key |= {object_key(f.fragment_id): (f.to_bytes(), 0) for f in others}

    def read_others(_name: str) -> None:
        handle.before = lambda _: None
        with ThreadPoolExecutor(1) as pool:
            for got in pool.map(store.get, [f.fragment_id for f in others]):
                assert got.fragment_id != FRAGMENT.fragment_id

    handle.before = read_others
    assert store.get(FRAGMENT.fragment_id).to_bytes() == FRAGMENT.to_bytes()


def test_the_cache_stays_below_its_limit_and_what_was_read_stays_readable(
    bucket: DictBucket, tmp_path: Path
) -> None:
    fragments = [make_fragment(seed, seq_len=200) for seed in range(8)]
    limit = 3 * FRAGMENT.num_bytes
    store = ObjectStore(Handle(bucket), tmp_path, cache_bytes=limit)
    for fragment in fragments:
        put(store, fragment)
    with ThreadPoolExecutor(4) as pool:
        held = list(pool.map(lambda f: store.get(f.fragment_id), fragments * 4))
    kept = [path.stat().st_size for path in tmp_path.glob("*/[!.]*")]
    assert 0 < sum(kept) <= limit
    assert [h.to_bytes() for h in held] == [f.to_bytes() for f in fragments * 4]
    store.close()
    assert list(tmp_path.iterdir()) == []


def test_a_fragment_larger_than_the_whole_cache_is_read_all_the_same(
    bucket: DictBucket, tmp_path: Path
) -> None:
    store = ObjectStore(Handle(bucket), tmp_path, cache_bytes=1)
    put(store, FRAGMENT)
    assert store.get(FRAGMENT.fragment_id).to_bytes() == FRAGMENT.to_bytes()
    store.close()


def test_the_cache_of_a_process_that_was_killed_is_cleared_and_that_of_a_live_one_is_not(
    bucket: DictBucket, tmp_path: Path
) -> None:
    live = ObjectStore(Handle(bucket), tmp_path)
    put(live, FRAGMENT)
    left = tmp_path / "0123456789abcdef"
    left.mkdir()
    (left / ".lock").touch()
    (left / "7").write_bytes(b"a fragment on its way")
    ObjectStore(Handle(bucket), tmp_path).close()
    assert not left.exists()
    assert live.get(FRAGMENT.fragment_id).to_bytes() == FRAGMENT.to_bytes()
    live.close()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Server returned non-2xx status code: 503 Slow Down", StoreFailedError),
        ("status code: 507 Insufficient Storage", StoreFullError),
        ("<Code>XMinioStorageFull</Code>", StoreFullError),
        ("<Code>QuotaExceeded</Code>", StoreFullError),
        ("error sending request", StoreFailedError),
    ],
)
def test_what_a_service_answers_becomes_an_error_of_ours(
    said: str, expected: type[Exception]
) -> None:
    with pytest.raises(expected, match="writing x") as caught, _service_errors("writing x"):
        raise OSError(said)
    assert type(caught.value) is expected


@pytest.mark.parametrize("url", ["file:///tmp/x", "http://host/x", "bucket/prefix", ""])
def test_an_address_that_is_no_bucket_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequestError, match="s3://"):
        ObstoreBucket.open(url)


def test_a_question_for_many_ids_is_many_questions_at_once(store: Store, handle: Handle) -> None:
    together = Barrier(3, timeout=60)
    handle.before = lambda _: together.wait()  # breaks unless all three are on their way
    asked = [make_fragment(seed).fragment_id for seed in (2, 3)]
    assert store.missing([asked[0], FRAGMENT.fragment_id, asked[1]]) == asked


def test_a_fragment_too_large_to_be_moved_to_the_trash_is_refused_by_its_header(
    store: Store,
) -> None:
    header = FRAGMENT.header
    tokens = MAX_OBJECT_BYTES // header.body_bytes * header.seq_len
    fits, too_large = (
        replace(header, seq_len=n, token_bytes=None) for n in (tokens // 2, tokens * 2)
    )
    assert fits.file_bytes < MAX_OBJECT_BYTES < too_large.file_bytes
    with store.put(max_bytes=1 << 40) as upload:
        upload.write(frame(FRAGMENT_MAGIC, fits.encoded))
    with store.put(max_bytes=1 << 40) as upload, pytest.raises(TooLargeError) as refused:
        upload.write(frame(FRAGMENT_MAGIC, too_large.encoded))
    assert refused.value.details["limit"] == MAX_OBJECT_BYTES
