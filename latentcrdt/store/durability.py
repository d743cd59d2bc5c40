"""What makes bytes survive a power cut, and the one strike after which a store is read-only.

Rule: after one failed fsync nothing more is acknowledged until the store is opened again. Reason:
the kernel reports a failed write-back once and then calls the pages clean, so a second fsync of
the same bytes succeeds although they never reached the disk.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from latentcrdt.errors import LatentCRDTError, StoreFailedError, StoreFullError
from latentcrdt.store.disk import Disk, File

logger = logging.getLogger(__name__)

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}

_NO_DESCRIPTOR = {errno.EMFILE, errno.ENFILE}
"""Too many files are open to begin a sync of a directory: nothing has failed on the disk."""

_NOT_OURS = {errno.EACCES, errno.EINVAL, errno.ELOOP, errno.ENOTDIR, errno.EROFS}
"""What the sync of a parent directory may answer that we cannot read, or that is no plain one."""


class Durability:
    """The syncs of one open store. Every acknowledgement passes through here first."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        """For everything on which no acknowledgement waits."""
        self._refusal: str | None = None

    def refuse(self, reason: str) -> None:
        """Let no more writes be acknowledged; the first reason given is the one reported."""
        self._refusal = self._refusal or reason

    def check(self) -> None:
        """Raise StoreFailedError if the store takes no writes any more."""
        if self._refusal is not None:
            raise StoreFailedError(f"the store takes no writes: {self._refusal}")

    def sync_file(self, file: File) -> None:
        """Make a file's bytes and size durable."""
        self.check()
        with self._one_strike(file.path):
            file.sync()

    def sync_directory(self, path: Path) -> None:
        """Make a directory's entries durable: files linked, renamed or created in it."""
        self.check()
        with self._one_strike(path):
            self.disk.sync_directory(path)

    def make_directory(self, path: Path) -> None:
        """Create a directory and its parents, durably; fine if it is there already."""
        if self.disk.is_directory(path):
            return
        self.make_directory(path.parent)
        with io_errors(f"creating {path}"):
            self.disk.make_directory(path)
        self.sync_directory(path.parent)

    def sync_way_to(self, path: Path) -> None:
        """Make the names of a directory and its parents durable, as far as we may.

        Whoever made them may not have: a person, or this store, killed before it came to that.
        """
        for parent in path.parents:
            with self._one_strike(parent):
                try:
                    self.disk.sync_directory(parent)
                except OSError as error:
                    if error.errno not in _NOT_OURS:
                        raise
                    logger.info("leaving it to others that the name of %s lasts: %s", path, error)

    @contextmanager
    def _one_strike(self, path: Path) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in _NO_DESCRIPTOR:
                raise StoreFailedError(f"syncing {path} was not tried: {error}") from error
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
