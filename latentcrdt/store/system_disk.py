"""The disk of this machine, by the calls of its system."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import sys
from contextlib import AbstractContextManager
from pathlib import Path

from latentcrdt.core.encoding import Buffer
from latentcrdt.store.disk import PIECE_BYTES, Kind
from latentcrdt.store.lock import hold_lock
from latentcrdt.store.mapped_file import MappedFile

_SAFELY = os.O_NOFOLLOW | os.O_CLOEXEC


class SystemFile:
    """A `latentcrdt.store.disk.File` by its descriptor."""

    __slots__ = ("_fd", "path")

    def __init__(self, path: Path, flags: int) -> None:
        self.path = path
        self._fd = os.open(path, flags | _SAFELY, 0o600)

    @property
    def size(self) -> int:
        """Length in bytes, now."""
        return os.fstat(self._fd).st_size

    def read(self, offset: int, num_bytes: int) -> bytes:
        """Return up to ``num_bytes`` bytes from ``offset``."""
        return os.pread(self._fd, num_bytes, offset)

    def append(self, data: Buffer) -> None:
        """Write all of ``data`` at the end, in pieces."""
        view = memoryview(data).cast("B")
        while view:
            view = view[os.write(self._fd, view[:PIECE_BYTES]) :]

    def truncate(self, size: int) -> None:
        """Cut the file to ``size`` bytes."""
        os.ftruncate(self._fd, size)

    def map(self) -> memoryview:
        """Return the whole file, mapped."""
        return memoryview(MappedFile.of(self._fd, self.path))

    def sync(self) -> None:
        """Make bytes and size durable."""
        if sys.platform == "darwin":
            # fsync of macOS leaves the bytes in the drive's own cache.
            fcntl.fcntl(self._fd, fcntl.F_FULLFSYNC)
        else:
            os.fdatasync(self._fd)

    def close(self) -> None:
        """Let go of the descriptor."""
        os.close(self._fd)


class SystemDisk:
    """A `latentcrdt.store.disk.Disk`."""

    def create(self, path: Path) -> SystemFile:
        """Create a private file, to append and to read."""
        return SystemFile(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND)

    def open(self, path: Path) -> SystemFile:
        """Open a file to read it."""
        return SystemFile(path, os.O_RDONLY)

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name."""
        target.hardlink_to(source)

    def rename(self, source: Path, target: Path) -> None:
        """Move a name."""
        source.rename(target)

    def unlink(self, path: Path) -> None:
        """Take a file's name away."""
        path.unlink(missing_ok=True)

    def kind(self, path: Path) -> Kind | None:
        """Return what a name stands for."""
        try:
            mode = os.lstat(path).st_mode
        except FileNotFoundError:
            return None
        if stat.S_ISREG(mode):
            return Kind.FILE
        return Kind.DIRECTORY if stat.S_ISDIR(mode) else Kind.OTHER

    def is_directory(self, path: Path) -> bool:
        """Return whether a directory is there, at the end of symbolic links if need be."""
        return path.is_dir()

    def list(self, directory: Path) -> dict[str, Kind]:
        """Return every name in a directory and what it stands for."""
        with os.scandir(directory) as entries:
            return {entry.name: _kind_of(entry) for entry in entries}

    def sizes(self, directory: Path) -> dict[str, int]:
        """Return the length of every file in a directory."""
        with os.scandir(directory) as entries:
            return {
                entry.name: entry.stat(follow_symlinks=False).st_size
                for entry in entries
                if entry.is_file(follow_symlinks=False)
            }

    def make_directory(self, path: Path) -> None:
        """Create a private directory."""
        path.mkdir(mode=0o700)

    def make_private(self, path: Path) -> None:
        """Keep everyone else out of a directory, if it belongs to our user."""
        if path.stat().st_uid == os.geteuid():
            path.chmod(0o700)

    def remove_tree(self, path: Path) -> None:
        """Remove a directory and everything in it."""
        shutil.rmtree(path)

    def sync_directory(self, path: Path) -> None:
        """Make a directory's entries durable."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _SAFELY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def hold_lock(self, path: Path) -> AbstractContextManager[None]:
        """Hold the lock file at ``path``."""
        return hold_lock(path)


def _kind_of(entry: os.DirEntry[str]) -> Kind:
    if entry.is_file(follow_symlinks=False):
        return Kind.FILE
    return Kind.DIRECTORY if entry.is_dir(follow_symlinks=False) else Kind.OTHER
