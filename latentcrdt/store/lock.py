"""One process at a time: the lock on a store's directory."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from latentcrdt.errors import StoreFailedError
from latentcrdt.store.durability import io_errors


@contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Hold the lock file at ``path``; the kernel lets go of it when the process ends, however.

    Raises StoreFailedError, naming the process that holds it, when the store is open already.
    """
    with io_errors(f"opening {path}"):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with io_errors(f"locking {path}"):
            _lock(fd, path)
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(fd)


def _lock(fd: int, path: Path) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(fd, 32, 0).decode(errors="replace").strip()
        raise StoreFailedError(
            f"{path.parent}: expected a store that no one else has open, but process "
            f"{holder or 'unknown'} holds {path.name}",
            path=str(path.parent),
            holder=holder,
        ) from error
