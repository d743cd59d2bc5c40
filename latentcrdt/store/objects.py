"""The tree of published fragments: ``obj/<00..ff>/<id>``, and ``quarantine/`` for damaged ones.

Rule: an object is seen by readers only once its directory entry is durable. Reason: whoever sees it
may make it a member of a state and acknowledge that; a power cut must not then take it away.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial
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
from latentcrdt.store.disk import File, Kind
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
        self._shards = tuple(root / f"{n:02x}" for n in range(NUM_SHARDS))
        self._quarantine = quarantine
        self._durability = durability
        self._disk = durability.disk
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
            if self._disk.kind(final) is None:
                self._link(staged, final, fragment_id)
                return True
            damage = self._damage(fragment_id, verify)
            if damage is not None:
                logger.error("replacing an object by the same one, sent again: %s", damage)
                self._disk.rename(staged, final)
            self._durability.sync_directory(final.parent)
            return damage is not None

    def get(self, fragment_id: FragmentId, known: FragmentHeader | None) -> Fragment:
        """Return a fragment, mapped."""
        return self._read(fragment_id, partial(map_fragment, known=known))

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
            self._disk.unlink(self._path(fragment_id))

    def has(self, fragment_id: FragmentId) -> bool:
        """Return whether the object is there, durably."""
        if fragment_id in self._settling:
            return False
        with io_errors(f"looking for fragment {fragment_id}"):
            return self._disk.kind(self._path(fragment_id)) is not None

    def ids(self) -> Iterator[FragmentId]:
        """Yield the ids of all objects, shard by shard."""
        for shard in self._shards:
            yield from (i for i in self._ids_in(shard) if i not in self._settling)

    def recover(
        self,
        size_of: Callable[[FragmentId], int | None],
        note: Callable[[FragmentHeader], None],
    ) -> set[FragmentId]:
        """Quarantine objects that a crash left empty or cut short; make the others durable.

        Only those whose size is not what ``size_of`` knows it to be are opened; ``note`` gets the
        headers of such as are intact. Returns what is held. A process killed between link and sync
        leaves an entry that is visible and not yet durable.
        """
        held = set()

        def check(file: File, fragment_id: FragmentId) -> None:
            note(read_header(file, fragment_id))

        for shard in self._shards:
            with io_errors(f"listing {shard}"):
                sizes = self._disk.sizes(shard)
            ids = self._own(shard, sizes)
            for fragment_id in ids:
                is_as_known = size_of(fragment_id) == sizes[str(fragment_id)]
                if is_as_known or self.expel(fragment_id, check) is None:
                    held.add(fragment_id)
            if ids:
                self._durability.sync_directory(shard)
        return held

    def expel(
        self, fragment_id: FragmentId, check: Callable[[File, FragmentId], object]
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
                    self._disk.rename(self._path(fragment_id), moved)
        return damage

    def _read(self, fragment_id: FragmentId, read: Callable[[File, FragmentId], T]) -> T:
        try:
            return self._open(fragment_id, read)
        except CorruptFragmentError:
            self.expel(fragment_id, read)
            raise

    def _damage(
        self, fragment_id: FragmentId, check: Callable[[File, FragmentId], object]
    ) -> CorruptFragmentError | None:
        try:
            self._open(fragment_id, check)
        except CorruptFragmentError as damage:
            return damage
        except FragmentNotFoundError:
            return None
        return None

    def _open(self, fragment_id: FragmentId, read: Callable[[File, FragmentId], T]) -> T:
        if fragment_id in self._settling:
            raise _not_found(fragment_id)
        with io_errors(f"reading fragment {fragment_id}"):
            try:
                file = self._disk.open(self._path(fragment_id))
            except FileNotFoundError as error:
                raise _not_found(fragment_id) from error
            with closing(file):
                return read(file, fragment_id)

    def _link(self, staged: Path, final: Path, fragment_id: FragmentId) -> None:
        self._settling.add(fragment_id)
        try:
            self._disk.link(staged, final)
            self._durability.sync_directory(final.parent)
        except OSError:
            # Should even this fail, the object stays among those that settle: out of sight.
            self._disk.unlink(final)
            self._settling.discard(fragment_id)
            raise
        self._settling.discard(fragment_id)

    def _create_shards(self) -> None:
        self._durability.make_directory(self._root)
        with io_errors(f"creating the shards of {self._root}"):
            found = self._disk.list(self._root)
            for shard in self._shards:
                if shard.name not in found:
                    self._disk.make_directory(shard)
                elif found[shard.name] is not Kind.DIRECTORY:
                    raise StoreFailedError(
                        f"{shard}: expected a directory of the store's own file system, got a file "
                        f"or a symbolic link: a link or rename into it would not be atomic"
                    )
        self._durability.sync_directory(self._root)

    def _ids_in(self, shard: Path) -> list[FragmentId]:
        with io_errors(f"listing {shard}"):
            entries = self._disk.list(shard)
        # A folder or a link is none of ours, whatever its name.
        return self._own(shard, (name for name, kind in entries.items() if kind is Kind.FILE))

    def _own(self, shard: Path, names: Iterable[str]) -> list[FragmentId]:
        return [i for i in map(_parse, names) if i is not None and i[0] == int(shard.name, 16)]

    def _path(self, fragment_id: FragmentId) -> Path:
        return self._shards[fragment_id[0]] / str(fragment_id)


def _parse(name: str) -> FragmentId | None:
    try:
        return FragmentId.parse(name)
    except InvalidIdError:
        return None  # not ours: an editor's backup, a file system's own


def _not_found(fragment_id: FragmentId) -> FragmentNotFoundError:
    return FragmentNotFoundError(
        f"fragment {fragment_id}: not held by this store", id=str(fragment_id)
    )
