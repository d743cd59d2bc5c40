"""What makes bytes survive a power cut, and the one strike after which a store is read-only.

Rule: after one failed fsync nothing more is acknowledged until the store is opened again. Reason:
the kernel reports a failed write-back once and then calls the pages clean, so a second fsync of
the same bytes succeeds although they never reached the disk.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from latentcrdt.core.encoding import Buffer
from latentcrdt.errors import LatentCRDTError, StoreFailedError, StoreFullError

logger = logging.getLogger(__name__)

PIECE_BYTES = 4 << 20
"""Files are read and written in pieces of this many bytes; larger ones gain nothing."""

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}


class Durability:
    """The syncs of one open store. Every acknowledgement passes through here first."""

    def __init__(self) -> None:
        self._refusal: str | None = None

    def refuse(self, reason: str) -> None:
        """Let no more writes be acknowledged; the first reason given is the one reported."""
        self._refusal = self._refusal or reason

    def check(self) -> None:
        """Raise StoreFailedError if the store takes no writes any more."""
        if self._refusal is not None:
            raise StoreFailedError(f"the store takes no writes: {self._refusal}")

    def sync_file(self, fd: int, path: Path) -> None:
        """Make a file's bytes and size durable."""
        self.check()
        with self._one_strike(path):
            _sync_data(fd)

    def sync_directory(self, path: Path) -> None:
        """Make a directory's entries durable: files linked, renamed or created in it."""
        self.check()
        with self._one_strike(path):
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def make_directory(self, path: Path) -> None:
        """Create a directory (mode 0700) and its parents, durably; fine if it is there already."""
        if path.is_dir():
            return
        self.make_directory(path.parent)
        with io_errors(f"creating {path}"):
            path.mkdir(mode=0o700)
        self.sync_directory(path.parent)

    @contextmanager
    def _one_strike(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.refuse(f"syncing {path} failed ({error}); it is read-only until opened again")
            logger.critical("syncing %s failed: %s; the store is now read-only", path, error)
            raise StoreFailedError(
                f"syncing {path} failed: {error}; nothing was acknowledged and the store is "
                f"read-only until it is opened again"
            ) from error


@contextmanager
def io_errors(action: str) -> Iterator[None]:
    """Turn an OSError into StoreFullError (no room) or StoreFailedError that names the action."""
    try:
        yield
    except LatentCRDTError:
        raise  # StoreFailedError is an OSError too, and already says what happened
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StoreFullError(f"{action}: no room: {error}; nothing was stored") from error
        raise StoreFailedError(f"{action}: {error}") from error


def write_all(fd: int, data: Buffer) -> None:
    """Write all of ``data`` at the file's end, in pieces; raises OSError as the system does."""
    view = memoryview(data).cast("B")
    while view:
        view = view[os.write(fd, view[:PIECE_BYTES]) :]


def _sync_data(fd: int) -> None:
    if sys.platform == "darwin":
        # fsync of macOS leaves the bytes in the drive's own cache.
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(fd)
