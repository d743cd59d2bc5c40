"""The embedded durable store: a directory that one process has open (RELIABILITY section 1).

Layout, everything 0700::

    .lock                       held while open
    .staging/<boot id>/<n>      fragments on their way in; those of other boots are cleared
    obj/<00..ff>/<fragment id>  published fragments
    states/<boot id>-<seq>.log  memberships
    summaries/<boot id>.log     what an opening need not read again
    quarantine/                 what was found damaged, kept for a person to look at
"""

from __future__ import annotations

import itertools
import logging
import os
import secrets
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.state import LatentState
from latentcrdt.core.summary import Summary
from latentcrdt.errors import CorruptFragmentError, FragmentNotFoundError, StoreFailedError
from latentcrdt.store.disk import Disk, Kind
from latentcrdt.store.durability import Durability, io_errors
from latentcrdt.store.membership_log import MembershipLog
from latentcrdt.store.objects import ObjectTree
from latentcrdt.store.protocol import Damage
from latentcrdt.store.summaries import Summaries
from latentcrdt.store.system_disk import SystemDisk
from latentcrdt.store.upload import DirectoryUpload

logger = logging.getLogger(__name__)


class DirectoryStore:
    """A `latentcrdt.store.protocol.Store` in a directory: acknowledged means fsynced."""

    def __init__(self, path: str | os.PathLike[str], *, disk: Disk | None = None) -> None:
        """Open or create the store and recover from whatever ended the last process.

        Raises StoreFailedError when another process has it open, a part of it is a symbolic link,
        or the disk fails; StoreFullError when there is no room even for empty directories.
        ``disk`` is for simulations; None: that of this machine.
        """
        root = Path(path).absolute()
        boot = secrets.token_hex(8)
        self._disk = SystemDisk() if disk is None else disk
        self._durability = Durability(self._disk)
        self._durability.make_directory(root)
        self._durability.sync_way_to(root)
        self._staging = root / ".staging" / boot
        self._staging_names = map(str, itertools.count())
        self._states_lock = threading.Lock()
        with ExitStack() as opened:
            with io_errors(f"making {root} private"):
                self._disk.make_private(root)
            opened.enter_context(self._disk.hold_lock(root / ".lock"))
            self._quarantine = quarantine = root / "quarantine"
            states = root / "states"
            summaries = root / "summaries"
            parts = (self._staging.parent, root / "obj", states, summaries, quarantine)
            for directory in parts:
                self._refuse_symlink(directory)
                self._durability.make_directory(directory)
            self._durability.sync_directory(root)
            self._clear(self._staging.parent)
            self._durability.make_directory(self._staging)
            opened.callback(self._discard_staging)
            self._objects = ObjectTree(root / "obj", quarantine, boot, self._durability)
            self._summaries = Summaries(summaries, boot, self._disk)
            opened.callback(self._summaries.close)
            self._recover()
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

    def get(self, fragment_id: FragmentId, known: FragmentHeader | None = None) -> Fragment:
        """Return a fragment, its body mapped; quarantine it when head or size are wrong."""
        with self._forgetting(fragment_id):
            return self._objects.get(fragment_id, known)

    def header(self, fragment_id: FragmentId) -> FragmentHeader:
        """Return a fragment's header, reading only the head of the file."""
        with self._forgetting(fragment_id):
            return self._objects.header(fragment_id)

    def summary(self, fragment_id: FragmentId) -> Summary | None:
        """Return what was kept of a fragment, or None."""
        return self._summaries.get(fragment_id)

    def keep_summary(self, summary: Summary) -> None:
        """Keep a summary; the next opening has it too, unless the machine fails before."""
        self._summaries.keep(summary)

    def verify(self, fragment_id: FragmentId) -> None:
        """Hash every section of a fragment; quarantine it when any differs."""
        with self._forgetting(fragment_id):
            self._objects.verify(fragment_id)

    def has(self, fragment_id: FragmentId) -> bool:
        """Return whether the fragment is held, durably."""
        return self._objects.has(fragment_id)

    def missing(self, ids: Iterable[FragmentId]) -> list[FragmentId]:
        """Return those of the ids that are not held, in the order given."""
        return [fragment_id for fragment_id in ids if not self._objects.has(fragment_id)]

    def ids(self) -> Iterator[FragmentId]:
        """Yield the ids of all fragments held, in no particular order."""
        return self._objects.ids()

    def remove(self, fragment_id: FragmentId) -> None:
        """Forget a fragment's bytes; who has them mapped keeps them until done."""
        self._durability.check()
        self._objects.remove(fragment_id)
        self._summaries.forget(fragment_id)

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

    def damage(self) -> Damage:
        """Return how much is in quarantine, and what was passed over when the store was opened."""
        with io_errors(f"listing {self._quarantine}"):
            kept = self._disk.list(self._quarantine)
        return Damage(len(kept), self._log.num_bytes_passed_over)

    def close(self) -> None:
        """Refuse further writes and let go of the lock; fragments in hand stay readable."""
        self._opened.close()

    def _recover(self) -> None:
        self._summaries.load()

        def size_of(fragment_id: FragmentId) -> int | None:
            summary = self._summaries.get(fragment_id)
            return None if summary is None else summary.file_bytes

        held = self._objects.recover(size_of, lambda h: self._summaries.keep(Summary.of(h)))
        self._summaries.keep_only(held)

    @contextmanager
    def _forgetting(self, fragment_id: FragmentId) -> Iterator[None]:
        """Keep no summary of what turns out not to be held."""
        try:
            yield
        except (CorruptFragmentError, FragmentNotFoundError):
            self._summaries.forget(fragment_id)
            raise

    def _refuse_symlink(self, path: Path) -> None:
        with io_errors(f"looking at {path}"):
            kind = self._disk.kind(path)
        if kind not in (None, Kind.DIRECTORY):
            raise StoreFailedError(
                f"{path}: expected a directory of the store, got a file or a symbolic link"
            )

    def _clear(self, directory: Path) -> None:
        """Remove what other boots left: never acknowledged, never visible."""
        with io_errors(f"clearing {directory}"):
            for name, kind in self._disk.list(directory).items():
                logger.info("clearing what a process that ended early left: %s", directory / name)
                if kind is Kind.DIRECTORY:
                    self._disk.remove_tree(directory / name)
                else:
                    self._disk.unlink(directory / name)

    def _discard_staging(self) -> None:
        with suppress(OSError):  # the next opening clears it
            self._disk.remove_tree(self._staging)
