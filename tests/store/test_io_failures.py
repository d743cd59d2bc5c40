"""The disk fails or fills up: what is refused, what is told, and that nothing half-done shows."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from latentcrdt.core.ids import StateName
from latentcrdt.core.state import LatentState
from latentcrdt.errors import StoreFailedError, StoreFullError
from latentcrdt.store.directory import DirectoryStore
from latentcrdt.testing.fragments import make_fragment
from latentcrdt.testing.store_suite import put

NAME = StateName("a")
HELD, NEW, LATER = (make_fragment(seed) for seed in range(3))


def failing(code: int) -> Callable[..., object]:
    def fail(*_: object, **__: object) -> object:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DirectoryStore]:
    store = DirectoryStore(tmp_path)
    put(store, HELD)
    store.merge(NAME, LatentState([HELD.fragment_id]))
    yield store
    store.close()


def staged_files(root: Path) -> list[Path]:
    return [path for path in (root / ".staging").rglob("*") if path.is_file()]


@pytest.mark.parametrize("call", ["fdatasync", "fsync"])
def test_a_failed_sync_fails_the_put_and_stops_all_writes_until_opened_again(
    store: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing(errno.EIO))
        with pytest.raises(StoreFailedError, match="syncing"):
            put(store, NEW)
    # The disk works again, and still nothing is acknowledged.
    for fragment in (NEW, LATER, HELD):
        with pytest.raises(StoreFailedError, match="takes no writes"):
            put(store, fragment)
    with pytest.raises(StoreFailedError, match="takes no writes"):
        store.merge(NAME, LatentState([LATER.fragment_id]))
    assert list(store.ids()) == [HELD.fragment_id]
    assert store.get(HELD.fragment_id).to_bytes() == HELD.to_bytes()
    assert store.states() == {NAME: LatentState([HELD.fragment_id])}
    assert staged_files(tmp_path) == []
    store.close()
    again = DirectoryStore(tmp_path)
    assert list(again.ids()) == [HELD.fragment_id]
    assert put(again, NEW)
    again.close()


@pytest.mark.parametrize("call", ["fdatasync", "fsync"])
def test_a_failed_sync_fails_the_insert_and_stops_all_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    store = DirectoryStore(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing(errno.EIO))
        with pytest.raises(StoreFailedError, match="syncing"):
            store.merge(NAME, LatentState([NEW.fragment_id]))
    assert store.states() == {}
    with pytest.raises(StoreFailedError, match="takes no writes"):
        store.merge(NAME, LatentState([NEW.fragment_id]))
    with pytest.raises(StoreFailedError, match="takes no writes"):
        put(store, NEW)
    store.close()


def test_a_directory_that_cannot_be_opened_to_sync_it_is_no_strike(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def no_descriptor(path: Path, flags: int, *mode: int) -> int:
        if flags & os.O_DIRECTORY:
            raise OSError(errno.EMFILE, "Too many open files")
        return real(path, flags, *mode)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", no_descriptor)
        with pytest.raises(StoreFailedError, match="not tried"):
            put(store, NEW)
    assert list(store.ids()) == [HELD.fragment_id]
    assert put(store, NEW)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", ["open", "write", "link"])
def test_a_full_disk_refuses_a_put_and_takes_the_next_one(
    store: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing(code))
        with pytest.raises(StoreFullError, match="no room"):
            put(store, NEW)
    assert list(store.ids()) == [HELD.fragment_id]
    assert staged_files(tmp_path) == []
    assert put(store, NEW)


def test_a_disk_that_fills_up_within_a_fragment_keeps_nothing_of_it(
    store: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write
    written: list[int] = []

    def write_some(fd: int, data: memoryview) -> int:
        if written:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(real(fd, bytes(data)[:100]))
        return written[0]

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write_some)
        with pytest.raises(StoreFullError):
            put(store, NEW)
    assert written == [100]
    assert not store.has(NEW.fragment_id)
    assert staged_files(tmp_path) == []


def test_short_writes_are_continued(store: DirectoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:7]))
    assert put(store, NEW)
    assert store.get(NEW.fragment_id).to_bytes() == NEW.to_bytes()


@pytest.mark.parametrize("ask", ["get", "header", "has"])
def test_an_io_error_is_never_reported_as_not_found(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch, ask: str
) -> None:
    monkeypatch.setattr(os, "open", failing(errno.EACCES))
    monkeypatch.setattr(os, "lstat", failing(errno.EACCES))
    monkeypatch.setattr(Path, "lstat", failing(errno.EACCES))
    with pytest.raises(StoreFailedError, match=str(HELD.fragment_id)):
        getattr(store, ask)(HELD.fragment_id)
    monkeypatch.undo()


def test_a_failed_write_says_which_file(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "write", failing(errno.EIO))
    with pytest.raises(StoreFailedError, match=r"writing .*\.staging"):
        put(store, NEW)
    monkeypatch.undo()
    assert put(store, NEW)
