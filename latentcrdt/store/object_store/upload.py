"""One fragment on its way into a bucket: verified into a file of this machine, then sent whole."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from latentcrdt.core.encoding import Buffer
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.reader import FragmentReader
from latentcrdt.store.disk import File
from latentcrdt.store.durability import io_errors
from latentcrdt.store.object_file import map_fragment
from latentcrdt.store.object_store.bucket_cache import BucketCache


class ObjectUpload:
    """A staged file. See `latentcrdt.store.protocol.Upload` for what each method promises."""

    def __init__(
        self,
        cache: BucketCache,
        publish: Callable[[File, FragmentId], bool],
        *,
        max_bytes: int,
        expected_id: FragmentId | None,
    ) -> None:
        """``publish`` sends a file, or raises, and returns whether its fragment is new.

        The file is never synced: it is not what lasts.
        """
        self._cache = cache
        self._publish = publish
        self._reader = FragmentReader(max_bytes=max_bytes, expected_id=expected_id)

    def write(self, data: Buffer) -> None:
        """Verify and stage the next bytes."""
        self._reader.feed(data)
        with io_errors("staging a fragment"):
            self._file.append(data)

    def finish(self) -> Fragment:
        """Return the whole fragment, mapped from the staged file."""
        header = self._reader.finish()
        with io_errors("reading a staged fragment"):
            return map_fragment(self._file, header.fragment_id)

    def publish(self) -> bool:
        """Send the file."""
        return self._publish(self._file, self._reader.finish().fragment_id)

    def __enter__(self) -> Self:
        self._file = self._cache.create()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cache.abandon(self._file)
