"""Bugs to plant in the directory store: each is one promise not kept, and must be caught."""

# ruff: noqa: SLF001  # a bug is planted where the code is

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from unittest.mock import patch

from latentcrdt.core.ids import FragmentId
from latentcrdt.replication.push import Push, PushResult
from latentcrdt.store.disk import File
from latentcrdt.store.durability import Durability
from latentcrdt.store.membership_log import MembershipLog, States
from latentcrdt.store.membership_record import encode_record
from latentcrdt.store.objects import ObjectTree


def _nothing(*_: object) -> None:
    """Do not sync, and do not repair."""


def _link(tree: ObjectTree, staged: Path, final: Path, _: FragmentId) -> None:
    tree._disk.link(staged, final)


def _append(log: MembershipLog, segment: File, data: bytes) -> None:
    segment.append(data)
    log._size += len(data)


def _read(log: MembershipLog, path: Path) -> bytes:
    with closing(log._disk.open(path)) as file:
        return file.read(0, file.size)


def _write_segment(log: MembershipLog, path: Path, states: States) -> None:
    with closing(log._disk.create(path)) as file:
        file.append(b"".join(encode_record(*named) for named in states.items()))


def _recover(tree: ObjectTree, *_: object) -> set[FragmentId]:
    return set(tree.ids())


def _commit(push: Push) -> PushResult:
    fragment = push._upload.finish()
    created = push._insert(fragment.fragment_id)
    push._upload.publish()
    return PushResult(fragment.header, created)


PLANTS: dict[str, tuple[type, str, Callable[..., object]]] = {
    "no file is synced": (Durability, "sync_file", _nothing),
    "no directory is synced": (Durability, "sync_directory", _nothing),
    "the names of the store's parents are not synced": (Durability, "sync_way_to", _nothing),
    "a published fragment's name is not synced": (ObjectTree, "_link", _link),
    "an opening takes fragments for durable": (ObjectTree, "recover", _recover),
    "an opening takes memberships for durable": (MembershipLog, "_read", _read),
    "memberships are acknowledged before their sync": (MembershipLog, "_append", _append),
    "memberships whose sync failed stay": (MembershipLog, "_cut_back", _nothing),
    "joined segments are removed before the union lasts": (
        MembershipLog,
        "_write_segment",
        _write_segment,
    ),
    "membership comes before the fragment": (Push, "commit", _commit),
}
"""Name, and the method that is replaced by a wrong one."""


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Have a bug while the block runs."""
    owner, method, wrong = PLANTS[name]
    with patch.object(owner, method, wrong):
        yield
