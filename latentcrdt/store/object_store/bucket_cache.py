"""Fragments of the bucket on this machine's disk, where they can be mapped: bounded, verified."""

from __future__ import annotations

import itertools
import logging
import shutil
import threading
from collections import OrderedDict
from collections.abc import Collection
from contextlib import ExitStack
from pathlib import Path

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId
from latentcrdt.errors import CorruptFragmentError, StoreFailedError
from latentcrdt.store.disk import File
from latentcrdt.store.durability import io_errors
from latentcrdt.store.object_file import map_fragment
from latentcrdt.store.system_disk import SystemDisk

logger = logging.getLogger(__name__)


class BucketCache:
    """At most ``max_bytes`` of verified files, those used last. May be used from any thread.

    A file larger than that is forgotten at once; who has it mapped keeps it. What a process leaves
    behind that was killed is cleared by the next one.
    """

    def __init__(self, directory: Path, boot: str, max_bytes: int) -> None:
        """Keep files in a folder of ``directory`` named after this ``boot``."""
        self._disk = SystemDisk()
        self._folder = directory / boot
        self._max_bytes = max_bytes
        self._names = map(str, itertools.count())
        self._lock = threading.Lock()
        self._sizes: OrderedDict[FragmentId, int] = OrderedDict()
        self._num_bytes = 0
        with ExitStack() as opened, io_errors(f"creating a cache in {directory}"):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._clear(directory)
            # Under its name only once it is locked: others clear what is not.
            starting = directory / f".{boot}"
            starting.mkdir(mode=0o700)
            opened.enter_context(self._disk.hold_lock(starting / ".lock"))
            starting.rename(self._folder)
            opened.callback(shutil.rmtree, self._folder, ignore_errors=True)
            self._opened = opened.pop_all()

    def create(self) -> File:
        """Return a file that is no one's yet: to be adopted, or abandoned."""
        with io_errors(f"creating a file in {self._folder}"):
            return self._disk.create(self._folder / next(self._names))

    def abandon(self, file: File) -> None:
        """Close a file, and delete it unless it was adopted."""
        file.close()
        try:
            self._disk.unlink(file.path)
        except OSError as failure:
            # Closing the cache clears it; what the file was for stands as it is.
            logger.warning("cannot remove the file %s: %s", file.path, failure)

    def adopt(self, file: File, fragment_id: FragmentId) -> None:
        """Keep a file that was verified, and forget others if there are too many bytes."""
        with self._lock, io_errors(f"keeping fragment {fragment_id} in the cache"):
            self._disk.rename(file.path, self._path(fragment_id))
            self._num_bytes += file.size - self._sizes.pop(fragment_id, 0)
            self._sizes[fragment_id] = file.size
            while self._num_bytes > self._max_bytes:
                self._forget(next(iter(self._sizes)))

    def get(self, fragment_id: FragmentId, known: FragmentHeader | None = None) -> Fragment | None:
        """Return a fragment, mapped, if its file is here."""
        with self._lock:
            if fragment_id not in self._sizes:
                return None
            self._sizes.move_to_end(fragment_id)
            with io_errors(f"reading fragment {fragment_id} from the cache"):
                file = self._disk.open(self._path(fragment_id))
        try:
            with io_errors(f"reading fragment {fragment_id} from the cache"):
                return map_fragment(file, fragment_id, known)
        except CorruptFragmentError as damage:
            logger.warning("forgetting a file of the cache: %s", damage)
            self.discard(fragment_id)
            return None
        finally:
            file.close()

    def discard(self, fragment_id: FragmentId) -> None:
        """Forget a fragment, if it is here."""
        with self._lock:
            if fragment_id in self._sizes:
                self._forget(fragment_id)

    def keep_only(self, wanted: Collection[FragmentId]) -> None:
        """Forget all others."""
        with self._lock:
            for fragment_id in [i for i in self._sizes if i not in wanted]:
                self._forget(fragment_id)

    def close(self) -> None:
        """Delete all files; what is mapped stays readable."""
        self._opened.close()

    def _forget(self, fragment_id: FragmentId) -> None:
        self._num_bytes -= self._sizes.pop(fragment_id)
        self._disk.unlink(self._path(fragment_id))

    def _path(self, fragment_id: FragmentId) -> Path:
        return self._folder / str(fragment_id)

    def _clear(self, directory: Path) -> None:
        """Delete the folders of processes that have ended: no one holds their locks any more."""
        for folder in directory.glob("[!.]*"):
            try:
                with self._disk.hold_lock(folder / ".lock"):
                    shutil.rmtree(folder, ignore_errors=True)
            except StoreFailedError:
                continue  # in use, or no cache
