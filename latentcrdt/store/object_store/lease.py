"""Whose turn it is to tidy a bucket.

Two holders at once do no harm, only the same work twice: what is deleted is covered by a union that
is there, or is in the trash and was asked for again by no one. So the lease needs neither
put-if-absent nor clocks that agree: whoever sees it unchanged for `LEASE_S` takes it.
"""

from __future__ import annotations

from collections.abc import Callable

from latentcrdt.core.encoding import Buffer
from latentcrdt.store.object_store.bucket import Bucket

KEY = "lease/tidy"

LEASE_S = 120.0
"""Seconds without renewal after which its holder is believed to have ended."""


class Lease:
    """One process's view of the lease. Not thread-safe."""

    def __init__(self, bucket: Bucket, boot: str, clock: Callable[[], float]) -> None:
        """``clock`` counts seconds and never goes back."""
        self._bucket = bucket
        self._boot = boot
        self._clock = clock
        self._num_renewals = 0
        self._seen: bytes | None = None
        self._seen_at = 0.0

    def hold(self) -> int | None:
        """Take or renew the lease; return the time by the service's clock, None if it is taken."""
        found = self._bucket.read(KEY)
        if found is not None and self._is_alive(found):
            return None
        self._num_renewals += 1
        self._bucket.put(KEY, f"{self._boot} {self._num_renewals}".encode())
        renewed = self._bucket.head(KEY)
        return None if renewed is None else renewed.modified_at

    def _is_alive(self, found: Buffer) -> bool:
        """Return whether another process renewed the lease a short while ago."""
        content = bytes(found)
        if content.split()[:1] == [self._boot.encode()]:
            return False
        if content != self._seen:
            self._seen, self._seen_at = content, self._clock()
        return self._clock() - self._seen_at < LEASE_S
