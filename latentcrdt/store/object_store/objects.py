"""The fragments of a bucket: published whole, read through a cache, never believed unhashed.

That an object is there is never taken for success, nor is "already exists" an answer this store
ever asks for: a fragment that is published is written, also where there is one. Its bytes are the
same, to read those that are there in order to compare would cost as much, and they may be damaged.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from latentcrdt.core.encoding import Buffer
from latentcrdt.core.fragment import Fragment, check_body_length
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.reader import FragmentReader
from latentcrdt.errors import (
    CorruptFragmentError,
    FragmentNotFoundError,
    InvalidIdError,
    InvalidInputError,
    StoreFailedError,
)
from latentcrdt.store.disk import PIECE_BYTES, File
from latentcrdt.store.durability import io_errors
from latentcrdt.store.object_file import HEAD_BYTES, map_fragment
from latentcrdt.store.object_store.bucket import Bucket, ObjectInfo
from latentcrdt.store.object_store.bucket_cache import BucketCache
from latentcrdt.store.object_store.keyed_lock import KeyedLock
from latentcrdt.store.object_store.trash import OBJECTS, Trash, object_key

logger = logging.getLogger(__name__)

QUESTIONS_AT_ONCE = 16
"""Of one call: an answer takes some ten milliseconds, and a peer asks for up to 10,000 ids."""

READ_AHEAD = 3
"""Pieces asked for at once: the next ones travel while one is hashed."""


class SharedObjects:
    """Fragments of a bucket, as one server sees them. May be used from any thread."""

    def __init__(self, bucket: Bucket, trash: Trash, cache: BucketCache) -> None:
        self._bucket = bucket
        self._trash = trash
        self._cache = cache
        self._moving = KeyedLock()
        """No fragment is fetched, or sent, twice at a time."""
        self._damaged: dict[FragmentId, ObjectInfo] = {}
        """Out of sight until written again. They stay: a deletion could hit what heals them."""

    def publish(self, staged: File, fragment_id: FragmentId) -> bool:
        """Write a verified file's fragment; return whether it was not held."""
        with self._moving.hold(fragment_id):
            created = self._held(fragment_id) is None
            self._bucket.put(object_key(fragment_id), staged.map())
            self._damaged.pop(fragment_id, None)
            self._cache.adopt(staged, fragment_id)
            return created

    def get(self, fragment_id: FragmentId, known: FragmentHeader | None) -> Fragment:
        """Return a fragment, mapped from the cache; fetched and verified first if it must be."""
        cached = self._cache.get(fragment_id, known)
        if cached is not None:
            return cached
        with self._moving.hold(fragment_id):
            return self._cache.get(fragment_id, known) or self._fetch(fragment_id)

    def verify(self, fragment_id: FragmentId) -> None:
        """Hash what the bucket holds, whether it is in the cache or not."""
        with self._moving.hold(fragment_id):
            self._fetch(fragment_id)

    def header(self, fragment_id: FragmentId) -> FragmentHeader:
        """Return a fragment's header, reading only the head of the object."""
        cached = self._cache.get(fragment_id)
        if cached is not None:
            return cached.header
        info = self._find(fragment_id)
        with self._damage(fragment_id, info):
            reader = FragmentReader(max_bytes=info.size, expected_id=fragment_id)
            while reader.header is None and reader.num_bytes < info.size:
                start = reader.num_bytes
                reader.feed(self._read(info, start, min(start + HEAD_BYTES, info.size)))
            header = reader.header or reader.finish()
            check_body_length(header, info.size - header.body_start)
            return header

    def has(self, fragment_id: FragmentId) -> bool:
        """Return whether the bucket holds a fragment."""
        return self._held(fragment_id) is not None

    def missing(self, ids: Iterable[FragmentId]) -> list[FragmentId]:
        """Return those of the ids that the bucket does not hold, in the order given."""
        asked = list(ids)
        if len(asked) < 2:  # usual, and not worth a thread
            return [fragment_id for fragment_id in asked if not self.has(fragment_id)]
        with ThreadPoolExecutor(QUESTIONS_AT_ONCE) as pool:
            held = pool.map(self.has, asked)
            return [one for one, is_held in zip(asked, held, strict=True) if not is_held]

    def ids(self) -> Iterator[FragmentId]:
        """Yield the ids of all fragments that the bucket holds."""
        for info in self._bucket.objects(OBJECTS):
            try:
                fragment_id = FragmentId.parse(info.key.removeprefix(OBJECTS))
            except InvalidIdError:
                continue  # none of ours
            if self._damaged.get(fragment_id) != info:
                yield fragment_id

    @property
    def num_damaged(self) -> int:
        """How many are out of sight, as far as this process has looked."""
        return len(self._damaged)

    def remove(self, fragment_id: FragmentId) -> None:
        """Move a fragment to the trash."""
        self._trash.discard(fragment_id)
        self._cache.discard(fragment_id)

    def _held(self, fragment_id: FragmentId) -> ObjectInfo | None:
        info = self._bucket.head(object_key(fragment_id))
        return None if info == self._damaged.get(fragment_id) else info

    def _find(self, fragment_id: FragmentId) -> ObjectInfo:
        """Return what there is of a fragment, taking it out of the trash if it is a member."""
        info = self._held(fragment_id)
        if info is None and self._trash.restore_member(fragment_id):
            info = self._held(fragment_id)
        if info is None:
            raise _not_found(fragment_id)
        return info

    def _fetch(self, fragment_id: FragmentId) -> Fragment:
        info = self._find(fragment_id)
        reader = FragmentReader(max_bytes=info.size, expected_id=fragment_id)
        file = self._cache.create()
        try:
            with self._damage(fragment_id, info), io_errors(f"fetching {info.key}"):
                for piece in self._pieces(info):
                    reader.feed(piece)
                    file.append(piece)
                reader.finish()
                fragment = map_fragment(file, fragment_id)
            self._cache.adopt(file, fragment_id)
            return fragment
        finally:
            self._cache.abandon(file)

    def _pieces(self, info: ObjectInfo) -> Iterator[Buffer]:
        """Yield an object's bytes in order; memory is that of `READ_AHEAD` pieces."""
        starts = iter(range(0, info.size, PIECE_BYTES))
        waiting: deque[Future[Buffer]] = deque()
        with ThreadPoolExecutor(READ_AHEAD) as pool:
            while True:
                while len(waiting) < READ_AHEAD and (start := next(starts, None)) is not None:
                    stop = min(start + PIECE_BYTES, info.size)
                    waiting.append(pool.submit(self._read, info, start, stop))
                if not waiting:
                    return
                yield waiting.popleft().result()

    def _read(self, info: ObjectInfo, start: int, stop: int) -> Buffer:
        data = self._bucket.read_range(info.key, start, stop)
        if data is None:
            raise _not_found(FragmentId.parse(info.key.removeprefix(OBJECTS)))
        if memoryview(data).nbytes != stop - start:
            raise StoreFailedError(
                f"reading {info.key}: expected bytes {start} to {stop} of {info.size}, got "
                f"{memoryview(data).nbytes}"
            )
        return data

    @contextmanager
    def _damage(self, fragment_id: FragmentId, info: ObjectInfo) -> Iterator[None]:
        try:
            yield
        except InvalidInputError as error:
            self._damaged[fragment_id] = info
            logger.error("%s is damaged, and out of sight until it is pushed again", info.key)  # noqa: TRY400  # the reason is raised
            raise CorruptFragmentError(
                f"fragment {fragment_id}: the stored object is damaged: {error}",
                id=str(fragment_id),
            ) from error


def _not_found(fragment_id: FragmentId) -> FragmentNotFoundError:
    return FragmentNotFoundError(
        f"fragment {fragment_id}: not held by this store", id=str(fragment_id)
    )
