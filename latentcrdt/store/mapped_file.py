"""A file of a store, mapped: its bytes as memory, and the way back from memory to the file."""

from __future__ import annotations

import mmap
import os
from pathlib import Path

import numpy as np

Identity = tuple[int, int]
"""Device and inode: what a file is, whatever its name."""


class MappedFile(mmap.mmap):
    """A whole file mapped read-only, that knows which one it is."""

    path: Path
    identity: Identity

    @classmethod
    def of(cls, descriptor: int, path: Path) -> MappedFile:
        """Map an open file; ``path`` is the name by which it was opened."""
        mapped = cls(descriptor, 0, access=mmap.ACCESS_READ)
        mapped.path = path
        mapped.identity = _identity(descriptor)
        return mapped


def open_behind(view: memoryview) -> tuple[int, int] | None:
    """Return a new descriptor of the file that a view shows bytes of, and their offset in it.

    None where they lie in no mapped file, or its name is by now that of another, or of none.
    """
    mapped = view.obj
    if not isinstance(mapped, MappedFile):
        return None
    try:
        descriptor = os.open(mapped.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    if _identity(descriptor) != mapped.identity:
        os.close(descriptor)
        return None
    return descriptor, _address(view) - _address(memoryview(mapped))


def _identity(descriptor: int) -> Identity:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


def _address(memory: memoryview) -> int:
    address: int = np.frombuffer(memory, np.uint8).__array_interface__["data"][0]
    return address
