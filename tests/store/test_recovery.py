"""Opening a store after whatever happened to it, and finding damage while it is open."""

from __future__ import annotations

import logging
import os
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.header import FragmentHeader
from latentcrdt.errors import CorruptFragmentError, FragmentNotFoundError, StoreFailedError
from latentcrdt.store.directory import DirectoryStore
from latentcrdt.store.object_file import HEAD_BYTES
from latentcrdt.testing.fragments import make_fragment
from latentcrdt.testing.store_suite import MAX_BYTES, put
from tests.store.damaged import damaged

FRAGMENT, OTHER = make_fragment(1), make_fragment(2)


def object_path(root: Path, fragment: Fragment) -> Path:
    text = str(fragment.fragment_id)
    return root / "obj" / text[:2] / text


def make_store(root: Path) -> None:
    store = DirectoryStore(root)
    put(store, FRAGMENT)
    put(store, OTHER)
    store.close()


def flipped(fragment: Fragment, position: int) -> bytes:
    data = bytearray(fragment.to_bytes())
    data[position] ^= 1
    return bytes(data)


def test_a_second_opener_is_told_who_has_the_store(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    with pytest.raises(StoreFailedError, match=f"process {os.getpid()} holds"):
        DirectoryStore(tmp_path)
    assert put(store, FRAGMENT)
    store.close()
    DirectoryStore(tmp_path).close()


def test_a_failed_opening_lets_go_of_the_lock(tmp_path: Path) -> None:
    make_store(tmp_path)
    shard = object_path(tmp_path, FRAGMENT).parent
    moved = tmp_path / "elsewhere"
    shard.rename(moved)
    shard.symlink_to(moved)
    with pytest.raises(StoreFailedError, match="symbolic link"):
        DirectoryStore(tmp_path)
    shard.unlink()
    moved.rename(shard)
    store = DirectoryStore(tmp_path)
    assert store.has(FRAGMENT.fragment_id)
    store.close()


@pytest.mark.parametrize("name", ["obj", "states", "quarantine", ".staging"])
def test_a_part_that_is_a_symbolic_link_is_refused(tmp_path: Path, name: str) -> None:
    root = tmp_path / "store"
    root.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (root / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreFailedError, match="symbolic link"):
        DirectoryStore(root)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_everything_is_private_to_the_user(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    make_store(tmp_path)
    for path in (tmp_path, *tmp_path.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)


def test_missing_parents_are_created(tmp_path: Path) -> None:
    make_store(tmp_path / "a" / "b" / "store")
    assert object_path(tmp_path / "a" / "b" / "store", FRAGMENT).is_file()


def test_what_other_boots_left_staged_is_cleared(tmp_path: Path) -> None:
    make_store(tmp_path)
    left = tmp_path / ".staging" / "another-boot"
    left.mkdir()
    (left / "0").write_bytes(FRAGMENT.to_bytes()[:100])
    (tmp_path / ".staging" / "stray").write_bytes(b"")
    store = DirectoryStore(tmp_path)
    assert [path.name for path in (tmp_path / ".staging").iterdir()] == [store._staging.name]
    store.close()
    assert list((tmp_path / ".staging").iterdir()) == []


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(b"", id="empty"),
        pytest.param(FRAGMENT.to_bytes()[:-1], id="cut short"),
        pytest.param(FRAGMENT.to_bytes()[:20], id="cut in the header"),
        pytest.param(FRAGMENT.to_bytes() + b"\0", id="too long"),
        pytest.param(OTHER.to_bytes(), id="another fragment"),
        pytest.param(flipped(FRAGMENT, 30), id="header bit flipped"),
        pytest.param(bytes(len(FRAGMENT.to_bytes())), id="zeros"),
    ],
)
def test_a_damaged_object_is_quarantined_at_the_start_and_the_id_is_not_poisoned(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: bytes
) -> None:
    make_store(tmp_path)
    object_path(tmp_path, FRAGMENT).write_bytes(damage)
    with caplog.at_level(logging.ERROR):
        store = DirectoryStore(tmp_path)
    assert str(FRAGMENT.fragment_id) in caplog.text
    assert list(store.ids()) == [OTHER.fragment_id]
    with pytest.raises(FragmentNotFoundError):
        store.get(FRAGMENT.fragment_id)
    (quarantined,) = (tmp_path / "quarantine").iterdir()
    assert quarantined.read_bytes() == damage
    assert put(store, FRAGMENT)
    assert store.get(FRAGMENT.fragment_id).to_bytes() == FRAGMENT.to_bytes()
    store.close()


@pytest.mark.parametrize("damage", [b"", FRAGMENT.to_bytes()[:-1], flipped(FRAGMENT, 30)])
@pytest.mark.parametrize("ask", [("get",), ("header",), ("get", FRAGMENT.header)])
def test_a_reader_takes_a_damaged_object_out_of_sight(
    tmp_path: Path, ask: tuple[Any, ...], damage: bytes
) -> None:
    make_store(tmp_path)
    store = DirectoryStore(tmp_path)
    method, *known = ask
    object_path(tmp_path, FRAGMENT).write_bytes(damage)
    with pytest.raises(CorruptFragmentError, match=str(FRAGMENT.fragment_id)):
        getattr(store, method)(FRAGMENT.fragment_id, *known)
    assert not store.has(FRAGMENT.fragment_id)
    with pytest.raises(FragmentNotFoundError):
        getattr(store, method)(FRAGMENT.fragment_id, *known)
    assert put(store, FRAGMENT)
    store.close()


@pytest.mark.parametrize("change", [-1, 1])
def test_the_size_of_an_object_longer_than_one_read_is_checked(tmp_path: Path, change: int) -> None:
    fragment = make_fragment(3, seq_len=500)
    assert fragment.num_bytes > 2 * HEAD_BYTES
    store = DirectoryStore(tmp_path)
    put(store, fragment)
    os.truncate(object_path(tmp_path, fragment), fragment.num_bytes + change)
    with pytest.raises(CorruptFragmentError):
        store.header(fragment.fragment_id)
    assert not store.has(fragment.fragment_id)
    store.close()


def test_a_header_that_is_known_is_not_decoded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_store(tmp_path)
    store = DirectoryStore(tmp_path)

    def decode(*_: object) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(FragmentHeader, "decode", decode)
    found = store.get(FRAGMENT.fragment_id, FRAGMENT.header)
    assert found.header is FRAGMENT.header
    assert found.body == FRAGMENT.body
    store.close()


def test_every_flipped_bit_is_found_by_scrubbing(tmp_path: Path) -> None:
    make_store(tmp_path)
    store = DirectoryStore(tmp_path)
    assert list(damaged(store)) == []
    for position in range(0, len(FRAGMENT.to_bytes()), 37):
        object_path(tmp_path, FRAGMENT).write_bytes(flipped(FRAGMENT, position))
        (finding,) = damaged(store)
        assert finding.fragment_id == FRAGMENT.fragment_id
        assert list(damaged(store)) == []
        assert list(store.ids()) == [OTHER.fragment_id]
        assert put(store, FRAGMENT)
    store.close()


def test_a_sector_that_cannot_be_read_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_store(tmp_path)
    store = DirectoryStore(tmp_path)
    real = os.pread

    def pread(fd: int, num_bytes: int, offset: int) -> bytes:
        if os.fstat(fd).st_ino == object_path(tmp_path, FRAGMENT).stat().st_ino:
            raise OSError(5, "Input/output error")
        return real(fd, num_bytes, offset)

    monkeypatch.setattr(os, "pread", pread)
    (finding,) = damaged(store)
    assert finding.fragment_id == FRAGMENT.fragment_id
    assert "Input/output error" in finding.problem
    store.close()


def test_pushing_again_repairs_an_object_that_rotted_unseen(tmp_path: Path) -> None:
    make_store(tmp_path)
    store = DirectoryStore(tmp_path)
    object_path(tmp_path, FRAGMENT).write_bytes(flipped(FRAGMENT, -1))
    assert put(store, FRAGMENT)
    assert object_path(tmp_path, FRAGMENT).read_bytes() == FRAGMENT.to_bytes()
    assert not put(store, FRAGMENT)
    store.close()


def test_files_that_are_not_the_stores_own_are_left_alone(tmp_path: Path) -> None:
    make_store(tmp_path)
    shard = object_path(tmp_path, FRAGMENT).parent
    strays = [shard / "notes.txt", shard / str(FRAGMENT.fragment_id).upper(), tmp_path / "README"]
    elsewhere = tmp_path / "obj" / f"{(FRAGMENT.fragment_id[0] + 1) % 256:02x}"
    strays.append(elsewhere / str(FRAGMENT.fragment_id))
    for stray in strays:
        stray.write_bytes(b"not ours")
    store = DirectoryStore(tmp_path)
    assert set(store.ids()) == {FRAGMENT.fragment_id, OTHER.fragment_id}
    store.close()
    assert all(stray.read_bytes() == b"not ours" for stray in strays)


def test_a_large_fragment_is_written_in_pieces_and_read_back(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    fragment = make_fragment(3, seq_len=50_000)  # 9.6 MB: two whole pieces and a rest
    data = memoryview(fragment.to_bytes())
    with store.put(max_bytes=len(data)) as upload:
        for start in range(0, len(data), 70_000):
            upload.write(data[start : start + 70_000])
        assert upload.finish().body == fragment.body
        assert upload.publish()
    assert store.get(fragment.fragment_id).to_bytes() == data
    with store.put(max_bytes=MAX_BYTES * 20) as upload:
        upload.write(data)
        assert not upload.publish()
    store.close()


def test_folders_and_links_among_the_objects_do_not_stop_the_start(tmp_path: Path) -> None:
    DirectoryStore(tmp_path).close()
    (tmp_path / "obj" / "ab" / ("ab" * 32)).mkdir()
    (tmp_path / "obj" / "cd" / ("cd" * 32)).symlink_to(tmp_path)
    with closing(DirectoryStore(tmp_path)) as store:
        assert list(store.ids()) == []
