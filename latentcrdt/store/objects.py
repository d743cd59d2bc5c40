"""The tree of published fragments: ``obj/<00..ff>/<id>``, and ``quarantine/`` for damaged ones.

Rule: an object is seen by readers only once its directory entry is durable. Reason: whoever sees it
may make it a member of a state and acknowledge that; a power cut must not then take it away.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId
from latentcrdt.errors import (
    CorruptFragmentError,
    FragmentNotFoundError,
    InvalidIdError,
    StoreFailedError,
)
from latentcrdt.store.durability import Durability, io_errors
from latentcrdt.store.object_file import map_fragment, read_header, verify

logger = logging.getLogger(__name__)

T = TypeVar("T")

NUM_SHARDS = 256
"""Directories by the first byte of the id: at a million objects, four thousand entries each."""


class ObjectTree:
    """Published fragments, one file each."""

    def __init__(self, root: Path, quarantine: Path, boot: str, durability: Durability) -> None:
        """Open or create the tree at ``root``; ``boot`` keeps names in ``quarantine`` distinct."""
        self._root = root
        self._quarantine = quarantine
        self._durability = durability
        self._quarantined = (f"{boot}-{n}" for n in itertools.count())
        self._locks = [threading.Lock() for _ in range(NUM_SHARDS)]
        self._settling: set[FragmentId] = set()
        """Linked, but their directory entry is not durable yet."""
        self._create_shards()

    def publish(self, staged: Path, fragment_id: FragmentId) -> bool:
        """Give a durable staged file its place; return False if the object was there, intact.

        An object that is there is no proof that it is whole, or that its directory entry would
        survive: it is hashed again, replaced if bad, and the directory is synced all the same.
        """
        final = self._path(fragment_id)
        with self._locks[fragment_id[0]], io_errors(f"publishing fragment {fragment_id}"):
            if not os.path.lexists(final):
                self._link(staged, final, fragment_id)
                return True
            damage = self._damage(fragment_id, verify)
            if damage is not None:
                logger.error("replacing an object by the same one, sent again: %s", damage)
                staged.rename(final)
            self._durability.sync_directory(final.parent)
            return damage is not None

    def get(self, fragment_id: FragmentId) -> Fragment:
        """Return a fragment, mapped."""
        return self._read(fragment_id, map_fragment)

    def header(self, fragment_id: FragmentId) -> FragmentHeader:
        """Return a fragment's header."""
        return self._read(fragment_id, read_header)

    def verify(self, fragment_id: FragmentId) -> None:
        """Hash the whole object."""
        self._read(fragment_id, verify)

    def remove(self, fragment_id: FragmentId) -> None:
        """Unlink the object, if it is there.

        Without a sync: should a power cut bring it back, it is garbage to be removed again.
        """
        with self._locks[fragment_id[0]], io_errors(f"removing fragment {fragment_id}"):
            self._path(fragment_id).unlink(missing_ok=True)

    def has(self, fragment_id: FragmentId) -> bool:
        """Return whether the object is there, durably."""
        if fragment_id in self._settling:
            return False
        with io_errors(f"looking for fragment {fragment_id}"):
            try:
                self._path(fragment_id).lstat()
            except FileNotFoundError:
                return False
        return True

    def ids(self) -> Iterator[FragmentId]:
        """Yield the ids of all objects, shard by shard."""
        for shard in self._shards():
            yield from (i for i in self._ids_in(shard) if i not in self._settling)

    def recover(self) -> None:
        """Quarantine objects that a crash left empty or cut short; make the others durable.

        A process killed between link and sync leaves an entry that is visible and not yet durable.
        """
        for shard in self._shards():
            ids = self._ids_in(shard)
            for fragment_id in ids:
                self.expel(fragment_id, read_header)
            if ids:
                self._durability.sync_directory(shard)

    def expel(
        self, fragment_id: FragmentId, check: Callable[[int, FragmentId], object]
    ) -> CorruptFragmentError | None:
        """Move an object to quarantine if ``check`` refuses it, and return why."""
        if self._damage(fragment_id, check) is None:
            return None
        with self._locks[fragment_id[0]]:
            # Again, now that no one can replace it: a repair may have come first.
            damage = self._damage(fragment_id, check)
            if damage is not None:
                moved = self._quarantine / f"{fragment_id}.{next(self._quarantined)}"
                logger.error("quarantining an object as %s: %s", moved.name, damage)
                with io_errors(f"quarantining fragment {fragment_id}"):
                    self._path(fragment_id).rename(moved)
        return damage

    def _read(self, fragment_id: FragmentId, read: Callable[[int, FragmentId], T]) -> T:
        try:
            return self._open(fragment_id, read)
        except CorruptFragmentError:
            self.expel(fragment_id, read)
            raise

    def _damage(
        self, fragment_id: FragmentId, check: Callable[[int, FragmentId], object]
    ) -> CorruptFragmentError | None:
        try:
            self._open(fragment_id, check)
        except CorruptFragmentError as damage:
            return damage
        except FragmentNotFoundError:
            return None
        return None

    def _open(self, fragment_id: FragmentId, read: Callable[[int, FragmentId], T]) -> T:
        if fragment_id in self._settling:
            raise _not_found(fragment_id)
        with io_errors(f"reading fragment {fragment_id}"):
            try:
                fd = os.open(self._path(fragment_id), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError as error:
                raise _not_found(fragment_id) from error
            try:
                return read(fd, fragment_id)
            finally:
                os.close(fd)

    def _link(self, staged: Path, final: Path, fragment_id: FragmentId) -> None:
        self._settling.add(fragment_id)
        try:
            final.hardlink_to(staged)
            self._durability.sync_directory(final.parent)
        except OSError:
            # Should even this fail, the object stays among those that settle: out of sight.
            final.unlink(missing_ok=True)
            self._settling.discard(fragment_id)
            raise
        self._settling.discard(fragment_id)

    def _create_shards(self) -> None:
        self._durability.make_directory(self._root)
        for shard in self._shards():
            if shard.is_symlink():
                raise StoreFailedError(
                    f"{shard}: expected a directory of the store's own file system, got a "
                    f"symbolic link: a link or rename into it would not be atomic"
                )
            with io_errors(f"creating {shard}"):
                shard.mkdir(mode=0o700, exist_ok=True)
        self._durability.sync_directory(self._root)

    def _shards(self) -> Iterator[Path]:
        return (self._root / f"{n:02x}" for n in range(NUM_SHARDS))

    def _ids_in(self, shard: Path) -> list[FragmentId]:
        with io_errors(f"listing {shard}"), os.scandir(shard) as entries:
            # A folder or a link is none of ours, whatever its name.
            names = [entry.name for entry in entries if entry.is_file(follow_symlinks=False)]
        return [i for i in map(_parse, names) if i is not None and i[0] == int(shard.name, 16)]

    def _path(self, fragment_id: FragmentId) -> Path:
        text = str(fragment_id)
        return self._root / text[:2] / text


def _parse(name: str) -> FragmentId | None:
    try:
        return FragmentId.parse(name)
    except InvalidIdError:
        return None  # not ours: an editor's backup, a file system's own


def _not_found(fragment_id: FragmentId) -> FragmentNotFoundError:
    return FragmentNotFoundError(
        f"fragment {fragment_id}: not held by this store", id=str(fragment_id)
    )
