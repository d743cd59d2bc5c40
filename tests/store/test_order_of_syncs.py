"""Acknowledged means durable: which system calls come before the answer, and in which order."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from latentcrdt.core.ids import StateName
from latentcrdt.core.state import LatentState
from latentcrdt.store import membership_log
from latentcrdt.store.directory import DirectoryStore
from latentcrdt.testing.fragments import make_fragment
from latentcrdt.testing.store_suite import MAX_BYTES, put

Calls = list[tuple[str, Path]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path


def path_of(root: Path, subject: int | str | os.PathLike[str]) -> Path:
    """Return the path under ``root`` of what a call is about: a path, or an open file."""
    if not isinstance(subject, int):
        return Path(subject)
    inode = os.fstat(subject).st_ino
    paths = (*root.parents, root, *root.rglob("*"))
    return next(path for path in paths if path.stat().st_ino == inode)


@pytest.fixture
def calls(root: Path, monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Every call that writes, names or syncs, with the path that it is about."""
    seen: Calls = []

    def record(name: str, subject: int) -> None:
        real: Callable[..., object] = getattr(os, name)

        def recorded(*args: int | str, **kwargs: object) -> object:
            seen.append((name, path_of(root, args[subject])))
            return real(*args, **kwargs)

        monkeypatch.setattr(os, name, recorded)

    for name, subject in {
        "write": 0,
        "fdatasync": 0,
        "fsync": 0,
        "link": 1,
        "rename": 1,
        "unlink": 0,
    }.items():
        record(name, subject)
    return seen


def test_a_put_syncs_the_file_then_links_it_then_syncs_the_shard(root: Path, calls: Calls) -> None:
    store = DirectoryStore(root)
    fragment = make_fragment(1)
    text = str(fragment.fragment_id)
    final = root / "obj" / text[:2] / text
    calls.clear()
    with store.put(max_bytes=MAX_BYTES) as upload:
        upload.write(fragment.to_bytes())
        assert upload.publish()
        acknowledged = list(calls)
    staged = acknowledged[0][1]
    assert acknowledged == [
        ("write", staged),
        ("fdatasync", staged),
        ("link", final),
        ("fsync", final.parent),
    ]
    assert calls[len(acknowledged) :] == [("unlink", staged)]
    assert staged.parent.parent == root / ".staging"
    store.close()


def test_a_put_of_what_is_there_syncs_the_shard_all_the_same(root: Path, calls: Calls) -> None:
    store = DirectoryStore(root)
    fragment = make_fragment(1)
    put(store, fragment)
    calls.clear()
    assert not put(store, fragment)
    shard = root / "obj" / str(fragment.fragment_id)[:2]
    assert ("fsync", shard) in calls
    assert "link" not in [name for name, _ in calls]
    store.close()


def test_a_fragment_is_not_seen_before_its_directory_entry_is_durable(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DirectoryStore(root)
    fragment = make_fragment(1)
    seen: list[bool] = []
    real = os.fsync

    def look(fd: int) -> None:
        seen.append(store.has(fragment.fragment_id) or fragment.fragment_id in store.ids())
        real(fd)

    monkeypatch.setattr(os, "fsync", look)
    put(store, fragment)
    assert seen == [False]
    assert store.has(fragment.fragment_id)
    store.close()


def test_a_membership_is_synced_with_its_segment_and_the_segments_entry(
    root: Path, calls: Calls
) -> None:
    store = DirectoryStore(root)
    calls.clear()
    store.merge(StateName("a"), LatentState([make_fragment(1).fragment_id]))
    (segment,) = (root / "states").iterdir()
    assert calls == [("write", segment), ("fdatasync", segment), ("fsync", root / "states")]
    calls.clear()
    store.merge(StateName("a"), LatentState([make_fragment(2).fragment_id]))
    assert calls == [("write", segment), ("fdatasync", segment)]
    store.close()


def test_a_membership_that_is_durable_already_costs_nothing(root: Path, calls: Calls) -> None:
    store = DirectoryStore(root)
    store.merge(StateName("a"), LatentState([make_fragment(1).fragment_id]))
    calls.clear()
    store.merge(StateName("a"), LatentState([make_fragment(1).fragment_id]))
    store.merge(StateName("a"), LatentState())
    assert calls == []
    store.close()


def test_joined_segments_are_durable_before_their_inputs_go(root: Path, calls: Calls) -> None:
    for seed in range(membership_log.MAX_SEGMENTS + 1):
        store = DirectoryStore(root)
        store.merge(StateName("a"), LatentState([make_fragment(seed).fragment_id]))
        store.close()
    inputs = sorted((root / "states").iterdir())
    calls.clear()
    DirectoryStore(root).close()
    about_segments = [call for call in calls if call[1].parent == root / "states"]
    (union,) = (root / "states").iterdir()
    temporary = union.with_suffix(".tmp")
    assert sorted(about_segments[: len(inputs)]) == [("fdatasync", i) for i in inputs]
    assert about_segments[len(inputs) : len(inputs) + 3] == [
        ("write", temporary),
        ("fdatasync", temporary),
        ("rename", union),
    ]
    synced = calls.index(("fsync", root / "states"), calls.index(("rename", union)))
    assert sorted(calls[synced + 1 : synced + 1 + len(inputs)]) == [("unlink", i) for i in inputs]


def test_opening_syncs_every_shard_that_holds_something(root: Path, calls: Calls) -> None:
    store = DirectoryStore(root)
    fragments = [make_fragment(seed) for seed in range(5)]
    for fragment in fragments:
        put(store, fragment)
    store.close()
    calls.clear()
    DirectoryStore(root).close()
    synced = {path for name, path in calls if name == "fsync"}
    assert {root / "obj" / str(f.fragment_id)[:2] for f in fragments} <= synced
    assert {root, root / "obj"} <= synced
