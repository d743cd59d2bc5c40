"""The embedded durable store: a directory that one process has open (RELIABILITY section 1).

Layout, everything 0700::

    .lock                       held while open
    .staging/<boot id>/<n>      fragments on their way in; those of other boots are cleared
    obj/<00..ff>/<fragment id>  published fragments
    states/<boot id>-<seq>.log  memberships
    quarantine/                 what was found damaged, kept for a person to look at
"""

from __future__ import annotations

import itertools
import logging
import os
import secrets
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.state import LatentState
from latentcrdt.errors import StoreFailedError
from latentcrdt.store.durability import Durability, io_errors
from latentcrdt.store.lock import hold_lock
from latentcrdt.store.membership_log import MembershipLog
from latentcrdt.store.objects import ObjectTree
from latentcrdt.store.upload import DirectoryUpload

logger = logging.getLogger(__name__)


class DirectoryStore:
    """A `latentcrdt.store.protocol.Store` in a directory: acknowledged means fsynced."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open or create the store and recover from whatever ended the last process.

        Raises StoreFailedError when another process has it open, a part of it is a symbolic link,
        or the disk fails; StoreFullError when there is no room even for empty directories.
        """
        root = Path(path).absolute()
        boot = secrets.token_hex(8)
        self._durability = Durability()
        self._durability.make_directory(root)
        self._staging = root / ".staging" / boot
        self._staging_names = map(str, itertools.count())
        self._states_lock = threading.Lock()
        with ExitStack() as opened:
            _make_private(root)
            opened.enter_context(hold_lock(root / ".lock"))
            quarantine, states = root / "quarantine", root / "states"
            for directory in (self._staging.parent, root / "obj", states, quarantine):
                _refuse_symlink(directory)
                self._durability.make_directory(directory)
            self._durability.sync_directory(root)
            _clear(self._staging.parent)
            self._durability.make_directory(self._staging)
            opened.callback(shutil.rmtree, self._staging, ignore_errors=True)
            self._objects = ObjectTree(root / "obj", quarantine, boot, self._durability)
            self._objects.recover()
            self._log = MembershipLog(states, quarantine, boot, self._durability)
            opened.callback(self._log.close)
            self._states = self._log.load()
            opened.callback(self._durability.refuse, "it is closed")
            self._opened = opened.pop_all()

    def put(self, *, max_bytes: int, expected_id: FragmentId | None = None) -> DirectoryUpload:
        """Begin to take one fragment of at most ``max_bytes``."""
        return DirectoryUpload(
            self._staging / next(self._staging_names),
            self._objects,
            self._durability,
            max_bytes=max_bytes,
            expected_id=expected_id,
        )

    def get(self, fragment_id: FragmentId) -> Fragment:
        """Return a fragment, its body mapped; quarantine it when head or size are wrong."""
        return self._objects.get(fragment_id)

    def header(self, fragment_id: FragmentId) -> FragmentHeader:
        """Return a fragment's header, reading only the head of the file."""
        return self._objects.header(fragment_id)

    def verify(self, fragment_id: FragmentId) -> None:
        """Hash every section of a fragment; quarantine it when any differs."""
        self._objects.verify(fragment_id)

    def has(self, fragment_id: FragmentId) -> bool:
        """Return whether the fragment is held, durably."""
        return self._objects.has(fragment_id)

    def ids(self) -> Iterator[FragmentId]:
        """Yield the ids of all fragments held, in no particular order."""
        return self._objects.ids()

    def remove(self, fragment_id: FragmentId) -> None:
        """Forget a fragment's bytes; who has them mapped keeps them until done."""
        self._durability.check()
        self._objects.remove(fragment_id)

    def merge(self, name: StateName, delta: LatentState) -> None:
        """Merge ``delta`` into a state; what is already durable is not written again."""
        with self._states_lock:
            known = self._states.get(name)
            if known is not None:
                if delta <= known:
                    return
                delta = delta.delta(known)
        self._log.append(name, delta)
        with self._states_lock:
            self._states.setdefault(name, LatentState()).merge(delta)

    def states(self) -> dict[StateName, LatentState]:
        """Return every state: copies."""
        with self._states_lock:
            return {name: state.copy() for name, state in self._states.items()}

    def refresh(self) -> dict[StateName, LatentState]:
        """Return nothing: the lock keeps other processes out."""
        return {}

    def close(self) -> None:
        """Refuse further writes and let go of the lock; fragments in hand stay readable."""
        self._opened.close()


def _make_private(root: Path) -> None:
    with io_errors(f"making {root} private"):
        if root.stat().st_uid == os.geteuid():
            root.chmod(0o700)


def _refuse_symlink(path: Path) -> None:
    if path.is_symlink():
        raise StoreFailedError(f"{path}: expected a directory of the store, got a symbolic link")


def _clear(directory: Path) -> None:
    """Remove what other boots left: never acknowledged, never visible."""
    with io_errors(f"clearing {directory}"):
        for entry in directory.iterdir():
            logger.info("clearing what a process that ended early left in %s", entry)
            if entry.is_symlink() or not entry.is_dir():
                entry.unlink()
            else:
                shutil.rmtree(entry)
