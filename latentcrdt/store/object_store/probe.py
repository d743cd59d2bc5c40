"""Try what a shared store needs of a bucket, in the bucket itself; nothing stays behind.

What no client can try, the service's own promise must answer for: that what it says is written
outlasts a power cut of its machines.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError

from latentcrdt.core.encoding import digest
from latentcrdt.store.object_store.obstore_bucket import LIST_PAGE, PART_BYTES, ObstoreBucket
from latentcrdt.store.promises import Promise, Trial, try_all

PREFIX = "probe/"

ROUNDS = 20
"""Writes followed at once by a listing: a service that lags is rarely right so often."""

RACERS = 8

TICK_S = 10.0
"""The service's clock must have moved on by then."""

SMALL = bytes(range(256)) * 4


def probe(bucket: ObstoreBucket) -> Iterator[Promise]:
    """Try everything, and clear away what was written for it."""
    attempt = _Attempt(bucket, f"{PREFIX}{secrets.token_hex(8)}/")
    try:
        yield from try_all(attempt.trials())
    finally:
        bucket.delete([found.key for found in bucket.objects(attempt.prefix)])


class _Attempt:
    """Trials below one prefix; each returns how the promise is broken, or None."""

    def __init__(self, bucket: ObstoreBucket, prefix: str) -> None:
        self._bucket = bucket
        self.prefix = prefix

    def trials(self) -> list[Trial]:
        return [
            ("what was written is read, whole and by ranges", True, self._ranges),
            ("what is not there is said not to be there", True, self._missing),
            ("an empty object is an object", True, self._empty),
            ("what was written again is read as it is now", True, self._overwritten),
            ("what was written is listed at once", True, self._listed_at_once),
            ("what was deleted is gone at once", True, self._deleted),
            ("a listing longer than a page is whole", True, self._long_listing),
            ("a listing names folders", True, self._folders),
            ("an object sent in parts is whole", True, self._parts),
            ("an upload that breaks off leaves nothing to see", True, self._broken_upload),
            ("a copy is whole, and as young as its making", True, self._copied),
            ("a listing begins after a key", False, self._begins_after),
            ("a listing is sorted", False, self._sorted),
            ("put-if-absent keeps what is there", False, self._create_keeps),
            ("put-if-absent lets one of many win", False, self._create_race),
        ]

    def _ranges(self) -> str | None:
        key = self.prefix + "ranges"
        self._bucket.put(key, SMALL)
        whole = self._bucket.read(key)
        if whole is None or bytes(whole) != SMALL:
            return "all of it came back otherwise"
        for start, stop in ((0, 1), (3, 700), (1000, 1024), (1000, 5000)):
            got = self._bucket.read_range(key, start, stop)
            if got is None or bytes(got) != SMALL[start:stop]:
                return f"bytes {start} to {stop} of {len(SMALL)} came back otherwise"
        return None

    def _missing(self) -> str | None:
        key = self.prefix + "never-written"
        if self._bucket.head(key) is not None or self._bucket.read(key) is not None:
            return "it is said to be there"
        copied = self._bucket.copy(key, self.prefix + "copy-of-nothing")
        return "it is said to have been copied" if copied else None

    def _empty(self) -> str | None:
        key = self.prefix + "empty"
        self._bucket.put(key, b"")
        got = self._bucket.read(key)
        if self._bucket.head(key) is None or got is None:
            return "it is not there"
        return "it has bytes" if bytes(got) else None

    def _overwritten(self) -> str | None:
        for n in range(ROUNDS):
            self._bucket.put(self.prefix + "again", b"%d" % n)
            got = self._bucket.read(self.prefix + "again")
            if got is None or bytes(got) != b"%d" % n:
                return f"after {n + 1} writes an older one was read"
        return None

    def _listed_at_once(self) -> str | None:
        folder = self.prefix + "listed-at-once/"
        last = ""
        for n in range(ROUNDS):
            key = f"{folder}{n:012x}"
            self._bucket.put(key, b"")
            if [found.key for found in self._bucket.objects(folder, after=last)] != [key]:
                return f"write {n + 1} was not listed, or not alone, after the one before"
            last = key
        return None

    def _deleted(self) -> str | None:
        folder = self.prefix + "deleted/"
        for n in range(ROUNDS):
            key = f"{folder}{n}"
            self._bucket.put(key, b"1")
            self._bucket.delete([key, folder + "never-written"])
            if self._bucket.head(key) is not None or list(self._bucket.objects(folder)):
                return f"deletion {n + 1} was not seen"
        return None

    def _long_listing(self) -> str | None:
        keys = self._write_many()
        found = {found.key for found in self._bucket.objects(self.prefix + "many/")}
        return None if found == keys else f"of {len(keys)} objects {len(found & keys)} were listed"

    def _folders(self) -> str | None:
        for name in ("0a", "0a-union", "0b"):
            self._bucket.put(f"{self.prefix}folders/{name}/{0:012x}", b"")
        found = sorted(self._bucket.folders(self.prefix + "folders/"))
        return None if found == ["0a", "0a-union", "0b"] else f"got {found}"

    def _parts(self) -> str | None:
        key = self.prefix + "parts"
        content = b"".join(digest(b"%d" % n) for n in range(5 * PART_BYTES // 64))
        self._bucket.put(key, content)
        got = self._bucket.read(key)
        if got is None or bytes(got) != content:
            return f"{len(content)} bytes came back otherwise"
        middle = self._bucket.read_range(key, PART_BYTES - 10, PART_BYTES + 10)
        same = middle is not None and bytes(middle) == content[PART_BYTES - 10 : PART_BYTES + 10]
        return None if same else "a range across two parts came back otherwise"

    def _broken_upload(self) -> str | None:
        key = self.prefix + "broken-upload"
        with suppress(ConnectionAbortedError):
            obstore.put(self._bucket.service, key, _pieces_that_break_off())
        listed = [found.key for found in self._bucket.objects(self.prefix) if found.key == key]
        return None if self._bucket.head(key) is None and not listed else "it is there"

    def _copied(self) -> str | None:
        source, target = self.prefix + "source", self.prefix + "target"
        self._bucket.put(source, SMALL)
        earlier = self._time()
        now = self._tick(earlier)
        if now is None:
            return f"the service's clock stood still for {TICK_S:g} s"
        self._bucket.copy(source, target)
        got, info = self._bucket.read(target), self._bucket.head(target)
        if got is None or info is None or bytes(got) != SMALL:
            return "it is not whole"
        return None if info.modified_at >= now else "it has the time of what it was copied from"

    def _begins_after(self) -> str | None:
        keys = sorted(self._write_many())
        pages = obstore.list(
            self._bucket.service, self.prefix + "many/", offset=keys[99], chunk_size=LIST_PAGE
        )
        found = {meta["path"] for page in pages for meta in page}
        return None if found == set(keys[100:]) else "it begins elsewhere: each look reads it all"

    def _sorted(self) -> str | None:
        self._write_many()
        keys = [found.key for found in self._bucket.objects(self.prefix + "many/")]
        return None if keys == sorted(keys) else "it is not"

    def _create_keeps(self) -> str | None:
        key = self.prefix + "created"
        self._bucket.put(key, b"first")
        try:
            obstore.put(self._bucket.service, key, b"second", mode="create")
        except AlreadyExistsError:
            got = self._bucket.read(key)
            return None if got is not None and bytes(got) == b"first" else "it was overwritten"
        except BaseError as error:
            return str(error).partition("\n")[0]
        return "it is not honoured"

    def _create_race(self) -> str | None:
        key = self.prefix + "race"

        def create(n: int) -> bool:
            with suppress(BaseError):
                obstore.put(self._bucket.service, key, b"%d" % n, mode="create")
                return True
            return False

        with ThreadPoolExecutor(RACERS) as pool:
            won = sum(pool.map(create, range(RACERS)))
        return None if won == 1 else f"of {RACERS} at once {won} were told that they had won"

    def _write_many(self) -> set[str]:
        keys = {f"{self.prefix}many/{n:012x}" for n in range(LIST_PAGE + 100)}
        if self._bucket.head(max(keys)) is None:
            with ThreadPoolExecutor(RACERS) as pool:
                list(pool.map(lambda key: self._bucket.put(key, b""), sorted(keys)))
        return keys

    def _time(self) -> int:
        self._bucket.put(self.prefix + "time", b"")
        info = self._bucket.head(self.prefix + "time")
        return 0 if info is None else info.modified_at

    def _tick(self, earlier: int) -> int | None:
        """Return the service's time once it is later, None if that takes too long."""
        pause = threading.Event()
        for _ in range(int(TICK_S / 0.1)):
            now = self._time()
            if now > earlier:
                return now
            pause.wait(0.1)
        return None


def _pieces_that_break_off() -> Iterator[bytes]:
    yield bytes(PART_BYTES)
    yield bytes(PART_BYTES)
    raise ConnectionAbortedError
