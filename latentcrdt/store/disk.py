"""What a directory store asks of a disk, so that one which loses power can stand in for a real one.

Rule: `latentcrdt.store` touches files through a `Disk` and in no other way. Reason: what survives a
power cut is then a question that a simulation answers thousands of times a minute. Every method
raises OSError as the system does, and only what was synced is sure to last: a file's bytes by
`File.sync`, its names by `Disk.sync_directory` of the directories in which they stand.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from enum import Enum
from pathlib import Path
from typing import Protocol

from latentcrdt.core.encoding import Buffer

PIECE_BYTES = 4 << 20
"""Files are read and written in pieces of this many bytes; larger ones gain nothing."""


class Kind(Enum):
    """What a name in a directory stands for; symbolic links are not followed."""

    FILE = "file"
    DIRECTORY = "directory"
    OTHER = "other"
    """A symbolic link, a socket, a device: never made by a store."""


class File(Protocol):
    """An open file: written at its end, read anywhere."""

    @property
    def path(self) -> Path:
        """The name under which it was opened."""

    @property
    def size(self) -> int:
        """Length in bytes, now."""

    def read(self, offset: int, num_bytes: int) -> bytes:
        """Return up to ``num_bytes`` bytes from ``offset``; none at the end of the file."""

    def append(self, data: Buffer) -> None:
        """Write all of ``data`` at the end; an error may leave a part of it there."""

    def truncate(self, size: int) -> None:
        """Cut the file to ``size`` bytes."""

    def map(self) -> memoryview:
        """Return the whole file, read-only; valid even when closed, or unlinked, meanwhile."""

    def sync(self) -> None:
        """Make bytes and size durable."""

    def close(self) -> None:
        """Let go of the file."""


class Disk(Protocol):
    """Directories of files. Names are changed atomically, and last once they are synced."""

    def create(self, path: Path) -> File:
        """Create a private file that was not there (FileExistsError), to append and to read."""

    def open(self, path: Path) -> File:
        """Open a file to read it; a symbolic link is an error."""

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name, which must be free (FileExistsError)."""

    def rename(self, source: Path, target: Path) -> None:
        """Move a name, replacing a file that has the new one."""

    def unlink(self, path: Path) -> None:
        """Take a file's name away; fine if it is gone already."""

    def kind(self, path: Path) -> Kind | None:
        """Return what a name stands for; None if it is free."""

    def is_directory(self, path: Path) -> bool:
        """Return whether a directory is there, at the end of symbolic links if need be."""

    def list(self, directory: Path) -> dict[str, Kind]:
        """Return every name in a directory and what it stands for."""

    def sizes(self, directory: Path) -> dict[str, int]:
        """Return the length in bytes of every file in a directory."""

    def make_directory(self, path: Path) -> None:
        """Create a private directory that was not there (FileExistsError)."""

    def make_private(self, path: Path) -> None:
        """Keep everyone else out of a directory, if it is ours to close."""

    def remove_tree(self, path: Path) -> None:
        """Remove a directory and everything in it."""

    def sync_directory(self, path: Path) -> None:
        """Make a directory's entries durable: names created, linked, renamed or removed in it."""

    def hold_lock(self, path: Path) -> AbstractContextManager[None]:
        """Hold the lock at ``path``; StoreFailedError when another opening of the store does."""
