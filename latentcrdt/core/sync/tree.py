"""The ids of a state as a 16-ary tree over their hexadecimal digits, none of which is stored.

Sorted ids make every node a slice, so a node's digest is the hash of one slice, and a state keeps
nothing for the tree: hashing all of 100,000 ids takes a millisecond.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from latentcrdt.core.encoding import DIGEST_BYTES, digest
from latentcrdt.core.ids import FragmentId

DIGITS = "0123456789abcdef"

MAX_DEPTH = 2 * DIGEST_BYTES
"""Digits of an id."""

NODE_DIGEST_BYTES = 8
"""Nodes are compared by so much of a salted hash: nobody can prepare two sets that agree, and by
chance two differ unseen once in 2^64."""


class IdTree:
    """A read-only view of sorted ids."""

    def __init__(self, ids: Sequence[FragmentId]) -> None:
        """``ids`` ascend."""
        self._ids = ids

    def below(self, prefix: str) -> Sequence[FragmentId]:
        """Return the ids whose hexadecimal form starts with ``prefix``."""
        first = bisect_left(self._ids, bytes.fromhex(prefix.ljust(MAX_DEPTH, "0")))
        stop = bisect_right(self._ids, bytes.fromhex(prefix.ljust(MAX_DEPTH, "f")), lo=first)
        return self._ids[first:stop]

    def children(self, prefix: str, salt: bytes) -> tuple[bytes, ...]:
        """Return the digests of a node's sixteen children, empty ones included."""
        return tuple(self._digest(prefix + digit, salt) for digit in DIGITS)

    def _digest(self, prefix: str, salt: bytes) -> bytes:
        return digest(salt + b"".join(self.below(prefix)))[:NODE_DIGEST_BYTES]
