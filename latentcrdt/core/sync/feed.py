"""The feed: what a replica learned, in the order in which it did, since a cursor.

On the wire: ``["latentcrdt.feed", 1, cursor, 1 if there is more, [delta, ...]]``, each delta as
`latentcrdt.core.delta` spells it, every state at most once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from latentcrdt.core.delta import decode_delta, encode_delta
from latentcrdt.core.encoding import (
    Buffer,
    as_bytes,
    as_int,
    as_list,
    as_text,
    check_one_spelling,
    decode,
    encode,
)
from latentcrdt.core.ids import StateName
from latentcrdt.core.state import LatentState
from latentcrdt.errors import InvalidRequestError, MalformedError

KIND = "latentcrdt.feed"
VERSION = 1

MAX_PAGE_ENTRIES = 10_000
"""Entries of one page: 320 KB of ids."""

_CURSOR = re.compile(r"([0-9a-f]{16})-([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place in one replica's feed."""

    epoch: str
    """Names one opening of the replica: after the next, the order is another."""
    position: int
    """Entries that lie before."""

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Return the cursor that ``str`` gave, or raise InvalidRequestError."""
        match = _CURSOR.fullmatch(text)
        if match is None:
            raise InvalidRequestError(
                f"cursor: expected 16 hexadecimal digits, '-' and a number, got {text!r:.80}"
            )
        return cls(match[1], int(match[2]))

    def __str__(self) -> str:
        return f"{self.epoch}-{self.position}"


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Part of a feed: what to merge, and where to go on."""

    cursor: Cursor
    is_last: bool
    """Whether the feed had no more at the time."""
    deltas: Mapping[StateName, LatentState]

    def encode(self) -> bytes:
        """Return the canonical bytes."""
        deltas = [encode_delta(name, delta) for name, delta in sorted(self.deltas.items())]
        return encode(KIND, VERSION, [str(self.cursor), int(not self.is_last), deltas])

    @classmethod
    def decode(cls, data: Buffer) -> FeedPage:
        """Read the canonical bytes; raises InvalidInputError for any others."""
        cursor, more, deltas = as_list(decode(KIND, VERSION, data), "feed page", 3)
        read = [decode_delta(as_bytes(delta, "delta")) for delta in as_list(deltas, "deltas")]
        if sum(max(1, len(state)) for _, state in read) > MAX_PAGE_ENTRIES:
            raise MalformedError(f"feed page: expected at most {MAX_PAGE_ENTRIES} entries")
        page = cls(
            Cursor.parse(as_text(cursor, "cursor", 64)),
            not as_int(more, "more", 0, 1),
            dict(read),
        )
        check_one_spelling("feed page", data, page.encode())
        return page
