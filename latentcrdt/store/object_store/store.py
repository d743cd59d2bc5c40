"""A store that many servers share: the bucket holds everything, a server nothing that must last.

Keys::

    obj/<fragment id>               fragments (objects.py)
    log/<writer>/<sequence>         memberships (log.py)
    trash/<fragment id>/<writer>-n  fragments removed a short while ago (trash.py)
    lease/tidy                      whose turn it is to tidy (lease.py)

Acknowledged means: the service has said that it wrote the fragment, and then that it wrote the
membership. What it promises by that is its own affair; ``latentcrdt doctor`` tries what can be
tried.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.state import LatentState
from latentcrdt.core.summary import Summary
from latentcrdt.errors import (
    CorruptFragmentError,
    FragmentNotFoundError,
    LatentCRDTError,
    StoreFailedError,
)
from latentcrdt.store.disk import File
from latentcrdt.store.object_store.bucket import Bucket
from latentcrdt.store.object_store.bucket_cache import BucketCache
from latentcrdt.store.object_store.compaction import Compaction
from latentcrdt.store.object_store.lease import Lease
from latentcrdt.store.object_store.log import SharedLog
from latentcrdt.store.object_store.objects import SharedObjects
from latentcrdt.store.object_store.trash import Trash
from latentcrdt.store.object_store.upload import ObjectUpload
from latentcrdt.store.protocol import Damage

logger = logging.getLogger(__name__)

CACHE_BYTES = 16 << 30
"""Fragments kept on this machine's disk by default."""

MAX_OBJECT_BYTES = 5 << 30
"""Amazon S3 copies no larger object: one could be put, and never be moved to the trash."""

TIDY_INTERVAL_S = 15.0
"""Between attempts to tidy: a fraction of the grace periods, a few requests each."""


class ObjectStore:
    """A `latentcrdt.store.protocol.Store` in a bucket. Other processes may have it open too."""

    def __init__(
        self,
        bucket: Bucket,
        cache_directory: str | os.PathLike[str],
        *,
        cache_bytes: int = CACHE_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read every state. ``cache_directory`` is on this machine, and may be shared too.

        ``clock`` counts seconds and never goes back. Raises StoreFailedError when the bucket does
        not answer.
        """
        boot = secrets.token_hex(8)
        self._clock = clock
        self._closed = False
        self._log = SharedLog(bucket, boot)
        self._trash = Trash(bucket, self._log, boot, clock)
        self._lease = Lease(bucket, boot, clock)
        self._compaction = Compaction(self._log, clock)
        self._refreshing = threading.Lock()
        self._tidied_at = clock()
        self._log.tail()
        self._cache = BucketCache(Path(cache_directory).absolute(), boot, cache_bytes)
        self._summaries: dict[FragmentId, Summary] = {}
        self._objects = SharedObjects(bucket, self._trash, self._cache)

    def put(self, *, max_bytes: int, expected_id: FragmentId | None = None) -> ObjectUpload:
        """Begin to take one fragment of at most ``max_bytes``, or `MAX_OBJECT_BYTES` if less."""
        self._check_open()
        max_bytes = min(max_bytes, MAX_OBJECT_BYTES)
        return ObjectUpload(
            self._cache, self._publish, max_bytes=max_bytes, expected_id=expected_id
        )

    def get(self, fragment_id: FragmentId, known: FragmentHeader | None = None) -> Fragment:
        """Return a fragment, its body mapped from a file of this machine."""
        return self._objects.get(fragment_id, known)

    def header(self, fragment_id: FragmentId) -> FragmentHeader:
        """Return a fragment's header, reading only the head of the object."""
        return self._objects.header(fragment_id)

    def summary(self, fragment_id: FragmentId) -> Summary | None:
        """Return what this process kept of a fragment, or None."""
        return self._summaries.get(fragment_id)

    def keep_summary(self, summary: Summary) -> None:
        """Keep a summary for as long as this process lasts."""
        self._summaries[summary.fragment_id] = summary

    def verify(self, fragment_id: FragmentId) -> None:
        """Read and hash all that the bucket holds of a fragment; one that is damaged is hidden."""
        try:
            self._objects.verify(fragment_id)
        except (CorruptFragmentError, FragmentNotFoundError):
            self._summaries.pop(fragment_id, None)
            raise

    def has(self, fragment_id: FragmentId) -> bool:
        """Ask the bucket whether it holds a fragment."""
        return self._objects.has(fragment_id)

    def missing(self, ids: Iterable[FragmentId]) -> list[FragmentId]:
        """Ask the bucket for each of the ids, many at once; return those that it does not hold."""
        return self._objects.missing(ids)

    def ids(self) -> Iterator[FragmentId]:
        """Yield the ids of all fragments that the bucket holds."""
        return self._objects.ids()

    def remove(self, fragment_id: FragmentId) -> None:
        """Move a fragment to the trash; it comes back should another server be adding it."""
        self._check_open()
        self._objects.remove(fragment_id)
        self._summaries.pop(fragment_id, None)

    def merge(self, name: StateName, delta: LatentState) -> None:
        """Merge ``delta`` into a state; what is already in the bucket is not written again."""
        self._check_open()
        self._log.merge(name, delta)

    def states(self) -> dict[StateName, LatentState]:
        """Return every state: copies."""
        return self._log.states()

    def refresh(self) -> dict[StateName, LatentState]:
        """Return what others have merged since the last call; tidy the bucket when it is time."""
        with self._refreshing:
            now = self._take_turn()
            deltas = self._log.tail()
            if any(delta.is_retracted for delta in deltas.values()):
                self._cache.keep_only(self._log.members())
            try:
                self._trash.put_back((i for d in deltas.values() for i in d), self.header)
                if now is not None:
                    self._compaction.run()
                    self._trash.purge(now)
            except LatentCRDTError as error:
                # What was read must reach the caller; the rest is tried again.
                logger.warning("tidying the bucket failed: %s", error)
            return deltas

    def damage(self) -> Damage:
        """Return what this process has found out of order in the bucket."""
        return Damage(self._objects.num_damaged, self._log.num_bytes_passed_over)

    def close(self) -> None:
        """Refuse further writes and delete the cache; what is in hand stays readable."""
        self._closed = True
        self._cache.close()

    def _publish(self, staged: File, fragment_id: FragmentId) -> bool:
        self._check_open()
        return self._objects.publish(staged, fragment_id)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreFailedError("the store takes no writes: it is closed")

    def _take_turn(self) -> int | None:
        """Return the service's time if it is this process's turn to tidy, and time to do so."""
        if self._clock() - self._tidied_at < TIDY_INTERVAL_S:
            return None
        self._tidied_at = self._clock()
        try:
            return self._lease.hold()
        except LatentCRDTError as error:
            logger.warning("taking the lease failed: %s", error)
            return None
