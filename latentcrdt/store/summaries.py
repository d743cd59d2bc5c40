"""Summaries of the fragments of a directory store, kept so that an opening need not read them all.

One file a boot, ``summaries/<boot>.log``: sealed records, those of one id alike but for the key.
Nothing here is ever synced, and nothing waits for it: what a crash takes is made again from the
fragment. A summary says how long its fragment's file is, so that an opening finds those of another
size without reading a byte of them.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Set as AbstractSet
from contextlib import closing, suppress
from pathlib import Path

from latentcrdt.core.ids import FragmentId
from latentcrdt.core.summary import Summary
from latentcrdt.errors import InvalidInputError
from latentcrdt.store.disk import PIECE_BYTES, Disk, File
from latentcrdt.store.sealed import seal, unseal

logger = logging.getLogger(__name__)

MAGIC = b"LCS1"

MAX_FILES = 4
"""Written into one when there are more, or when most records are of no use."""


class Summaries:
    """About 250 bytes a fragment, and as many on disk. May be used from any thread."""

    def __init__(self, directory: Path, boot: str, disk: Disk) -> None:
        """``directory`` exists; ``boot`` is a name that no other opening has."""
        self._directory = directory
        self._boot = boot
        self._disk = disk
        self._lock = threading.Lock()
        self._known: dict[FragmentId, Summary] = {}
        self._num_records = 0
        self._found: list[Path] = []
        self._file: File | None = None
        self._is_kept = True
        """Whether they are still written; a disk that refused one is not asked again."""

    def load(self) -> None:
        """Read what earlier boots left; files that cannot be read or understood count for none."""
        try:
            paths = [self._directory / name for name in self._disk.list(self._directory)]
            self._found = [path for path in paths if path.suffix == ".log"]
            for path in self._found:
                self._read(path)
        except (OSError, InvalidInputError) as error:
            logger.warning("cannot read the summaries in %s: %s", self._directory, error)

    def keep_only(self, held: AbstractSet[FragmentId]) -> None:
        """Forget all others, and write the rest anew if that makes the files smaller."""
        for gone in self._known.keys() - held:
            del self._known[gone]
        if len(self._found) > MAX_FILES or self._num_records > 3 * len(self._known):
            self._rewrite()

    def get(self, fragment_id: FragmentId) -> Summary | None:
        """Return the summary of a fragment, if there is one."""
        return self._known.get(fragment_id)

    def keep(self, summary: Summary) -> None:
        """Keep a summary of a fragment that is held, in place of an earlier one."""
        with self._lock:
            self._known[summary.fragment_id] = summary
            self._write([summary])

    def forget(self, fragment_id: FragmentId) -> None:
        """Drop the summary of a fragment that is no longer held, or not as it was."""
        with self._lock:
            self._known.pop(fragment_id, None)

    def close(self) -> None:
        """Write no more."""
        with self._lock:
            self._stop()

    def _read(self, path: Path) -> None:
        with closing(self._disk.open(path)) as file:
            data = bytearray()
            while piece := file.read(len(data), PIECE_BYTES):
                data += piece
        for payload in unseal(MAGIC, bytes(data)):
            if isinstance(payload, bytes):
                summary = Summary.decode(payload)
                known = self._known.get(summary.fragment_id)
                # Among files there is no order: what knows the key knows more.
                if known is None or known.sort_key is None:
                    self._known[summary.fragment_id] = summary
                self._num_records += 1

    def _rewrite(self) -> None:
        """Write all into this boot's file, then remove the others; a crash costs summaries."""
        with self._lock:
            self._write(list(self._known.values()))
            if self._is_kept:
                with suppress(OSError):  # the next opening tries again
                    for path in self._found:
                        self._disk.unlink(path)

    def _write(self, summaries: list[Summary]) -> None:
        if not self._is_kept:
            return
        try:
            if self._file is None:
                self._file = self._disk.create(self._directory / f"{self._boot}.log")
            self._file.append(b"".join(seal(MAGIC, summary.encoded) for summary in summaries))
        except OSError as error:
            logger.warning("summaries are no longer written to %s: %s", self._directory, error)
            self._stop()

    def _stop(self) -> None:
        self._is_kept = False
        if self._file is not None:
            self._file.close()
            self._file = None
