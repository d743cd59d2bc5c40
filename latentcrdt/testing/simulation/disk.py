"""A disk in memory that loses what was not synced: `latentcrdt.store.disk.Disk` for simulations.

A disk is one uptime of a machine. `kill` ends the process and `cut_power` the machine; both return
the disk that the next process finds, and the one before answers nothing but `GoneError`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

from latentcrdt.core.encoding import Buffer
from latentcrdt.errors import StoreFailedError
from latentcrdt.store.disk import Kind
from latentcrdt.testing.simulation.content import Content
from latentcrdt.testing.simulation.names import Directory, Names, Node

Before = Callable[[str, Path], None]
"""Called before each operation that changes or syncs something, with its name and its path.

It may raise OSError, which fails the operation as a disk does (a sync loses its bytes, an append
leaves half of them), or `GoneError`, so that the operation and all later ones never happen.
"""


class GoneError(BaseException):
    """Raised in a process that is no more; no Exception, so that nothing catches it and goes on."""


class SimulatedFile:
    """A `latentcrdt.store.disk.File`."""

    def __init__(self, disk: SimulatedDisk, path: Path, content: Content) -> None:
        self.path = path
        self._disk = disk
        self._content = content

    @property
    def size(self) -> int:
        """Length in bytes, now."""
        self._disk.check()
        return len(self._content.cached)

    def read(self, offset: int, num_bytes: int) -> bytes:
        """Return up to ``num_bytes`` bytes from ``offset``."""
        self._disk.check()
        return bytes(self._content.cached[offset : offset + num_bytes])

    def append(self, data: Buffer) -> None:
        """Write at the end, into the cache."""
        whole = bytes(data)
        try:
            self._disk.before("append", self.path)
        except OSError:
            self._content.append(whole[: len(whole) // 2])
            raise
        self._content.append(whole)

    def truncate(self, size: int) -> None:
        """Cut the file to ``size`` bytes, in the cache."""
        self._disk.before("truncate", self.path)
        self._content.truncate(size)

    def map(self) -> memoryview:
        """Return the bytes as they are now: a published file does not change."""
        self._disk.check()
        return memoryview(bytes(self._content.cached))

    def sync(self) -> None:
        """Make bytes and size durable."""
        try:
            self._disk.before("sync", self.path)
        except OSError:
            self._content.fail_to_sync()
            raise
        self._content.sync()

    def close(self) -> None:
        """Let go of the file."""


class SimulatedDisk:
    """One uptime of a machine's disk. For one thread at a time."""

    def __init__(self, before: Before | None = None) -> None:
        self._names = Names()
        self._directories: dict[str, Directory] = {}
        """Those found before, by path: an opening of a store asks for 256 of them several times."""
        self._locked: set[Path] = set()
        self._is_gone = False
        self._before = before

    def kill(self, before: Before | None = None) -> SimulatedDisk:
        """End the process: the next one finds everything that was written, synced or not."""
        return self._succeed(self._names, before)

    def cut_power(self, rng: Random, before: Before | None = None) -> SimulatedDisk:
        """End the machine: the next one finds what was synced, and some of the rest.

        Asked again, of a disk that is gone, it returns another disk that might have been left.
        """
        return self._succeed(self._names.after_power_cut(rng), before)

    def check(self) -> None:
        """Raise GoneError once the process has ended."""
        if self._is_gone:
            raise GoneError

    def before(self, operation: str, path: Path) -> None:
        """Announce an operation that changes or syncs something."""
        self.check()
        if self._before is not None:
            try:
                self._before(operation, path)
            except GoneError:
                self._is_gone = True
                raise

    def create(self, path: Path) -> SimulatedFile:
        """Create a file that was not there."""
        self.before("create", path)
        content = Content()
        self._give(path, content)
        return SimulatedFile(self, path, content)

    def open(self, path: Path) -> SimulatedFile:
        """Open a file to read it."""
        content = self._existing(path)
        if isinstance(content, Directory):
            raise _os_error(errno.EISDIR, path)
        return SimulatedFile(self, path, content)

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name."""
        self.before("link", target)
        self._give(target, self._existing(source))

    def rename(self, source: Path, target: Path) -> None:
        """Move a name, replacing a file that has the new one.

        Nothing happens where both already name one file: POSIX has it so, and systems follow.
        """
        self.before("rename", target)
        self._directories.clear()
        node = self._existing(source)
        if self._node(target) is node:
            return
        self._names.change(
            (self._directory(source.parent), source.name, None),
            (self._directory(target.parent), target.name, node),
        )

    def unlink(self, path: Path) -> None:
        """Take a file's name away."""
        self.before("unlink", path)
        if self._node(path) is not None:
            self._names.change((self._directory(path.parent), path.name, None))

    def kind(self, path: Path) -> Kind | None:
        """Return what a name stands for."""
        node = self._node(path)
        return None if node is None else _kind_of(node)

    def is_directory(self, path: Path) -> bool:
        """Return whether a directory is there."""
        with suppress(NotADirectoryError):
            return isinstance(self._node(path), Directory)
        return False

    def list(self, directory: Path) -> dict[str, Kind]:
        """Return every name in a directory and what it stands for."""
        entries = self._directory(directory).cached
        return {name: _kind_of(node) for name, node in entries.items()}

    def sizes(self, directory: Path) -> dict[str, int]:
        """Return the length of every file in a directory."""
        entries = self._directory(directory).cached
        return {
            name: len(node.cached) for name, node in entries.items() if isinstance(node, Content)
        }

    def make_directory(self, path: Path) -> None:
        """Create a directory that was not there."""
        self.before("make_directory", path)
        self._give(path, Directory())

    def make_private(self, path: Path) -> None:
        """Do nothing: no one else is here."""

    def remove_tree(self, path: Path) -> None:
        """Remove a directory and everything in it."""
        self.before("remove_tree", path)
        self._directories.clear()
        self._names.change((self._directory(path.parent), path.name, None))

    def sync_directory(self, path: Path) -> None:
        """Make a directory's entries durable."""
        self.before("sync_directory", path)
        self._names.sync(self._directory(path))

    @contextmanager
    def hold_lock(self, path: Path) -> Iterator[None]:
        """Hold the lock at ``path`` while the process lives."""
        self.check()
        if path in self._locked:
            raise StoreFailedError(f"{path}: expected a store that no one else has open")
        self._locked.add(path)
        try:
            yield
        finally:
            self._locked.discard(path)

    def _succeed(self, names: Names, before: Before | None) -> SimulatedDisk:
        self._is_gone = True
        successor = SimulatedDisk(before)
        successor._names = names
        return successor

    def _give(self, path: Path, node: Node) -> None:
        directory = self._directory(path.parent)
        if path.name in directory.cached:
            raise _os_error(errno.EEXIST, path)
        self._names.change((directory, path.name, node))

    def _existing(self, path: Path) -> Node:
        node = self._node(path)
        if node is None:
            raise _os_error(errno.ENOENT, path)
        return node

    def _directory(self, path: Path) -> Directory:
        self.check()
        found = self._directories.get(str(path))
        if found is None:
            node = self._existing(path)
            if not isinstance(node, Directory):
                raise _os_error(errno.ENOTDIR, path)
            found = self._directories[str(path)] = node
        return found

    def _node(self, path: Path) -> Node | None:
        self.check()
        node: Node | None = self._names.root
        for part in path.parts[1:]:
            if isinstance(node, Content):
                raise _os_error(errno.ENOTDIR, path)
            node = None if node is None else node.cached.get(part)
        return node


def _kind_of(node: Node) -> Kind:
    return Kind.DIRECTORY if isinstance(node, Directory) else Kind.FILE


def _os_error(code: int, path: Path) -> OSError:
    return OSError(code, os.strerror(code), str(path))
