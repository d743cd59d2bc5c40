"""One fragment on its way into a directory store: verified as it comes, private until published."""

from __future__ import annotations

import logging
from pathlib import Path
from types import TracebackType
from typing import Self

from latentcrdt.core.encoding import Buffer
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.reader import FragmentReader
from latentcrdt.store.durability import Durability, io_errors
from latentcrdt.store.objects import ObjectTree

logger = logging.getLogger(__name__)

GATHERED_BYTES = 256 << 10
"""Smaller pieces are copied together up to here: a write of each would cost more, and to copy more
of them would, too, since it takes fresh memory."""


class DirectoryUpload:
    """A staged file. See `latentcrdt.store.protocol.Upload` for what each method promises."""

    def __init__(
        self,
        staged: Path,
        objects: ObjectTree,
        durability: Durability,
        *,
        max_bytes: int,
        expected_id: FragmentId | None,
    ) -> None:
        """``staged`` is a name that no one else uses, on the file system of ``objects``."""
        self._staged = staged
        self._objects = objects
        self._durability = durability
        self._reader = FragmentReader(max_bytes=max_bytes, expected_id=expected_id)
        self._pending = bytearray()
        """Verified bytes that wait to be written."""

    def write(self, data: Buffer) -> None:
        """Verify the next bytes, and write them, or gather them if they are few."""
        self._reader.feed(data)
        if len(self._pending) + memoryview(data).nbytes < GATHERED_BYTES:
            self._pending += data
            return
        self._flush()
        self._write(data)

    def finish(self) -> Fragment:
        """Return the whole fragment, mapped from the staged file."""
        header = self._complete()
        with io_errors(f"reading {self._staged}"):
            return Fragment(header, self._file.map()[header.body_start :])

    def publish(self) -> bool:
        """Make the file durable, then give it its place in the tree."""
        header = self._complete()
        self._durability.sync_file(self._file)
        return self._objects.publish(self._staged, header.fragment_id)

    def __enter__(self) -> Self:
        self._durability.check()
        with io_errors(f"creating {self._staged}"):
            self._file = self._durability.disk.create(self._staged)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        try:
            self._durability.disk.unlink(self._staged)
        except OSError as failure:
            # The next opening clears it; the outcome of this block stands as it is.
            logger.warning("cannot remove the staged file %s: %s", self._staged, failure)

    def _complete(self) -> FragmentHeader:
        header = self._reader.finish()
        self._flush()
        return header

    def _flush(self) -> None:
        pending, self._pending = self._pending, bytearray()
        self._write(pending)

    def _write(self, data: Buffer) -> None:
        with io_errors(f"writing {self._staged}"):
            self._file.append(data)
