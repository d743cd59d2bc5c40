"""Range requests (RFC 9110 section 14): one range of bytes, or the whole."""

from __future__ import annotations

import re
from dataclasses import dataclass

from latentcrdt.errors import RangeNotSatisfiableError

_ONE_RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes ``start <= i < stop`` of a representation."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def content_range(self, size: int) -> str:
        """Return the Content-Range header of a 206 answer."""
        return f"bytes {self.start}-{self.stop - 1}/{size}"


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """Return the range that a Range header asks of ``size`` bytes, or None for the whole.

    What is not one well-formed range of bytes (other units, several ranges, last before first) is
    ignored, as the RFC permits. Raises RangeNotSatisfiableError for a range outside the object.
    """
    match = _ONE_RANGE.fullmatch(header or "")
    if match is None or match.group(1, 2) == ("", ""):
        return None
    first, last = match.group(1, 2)
    if first and last and int(last) < int(first):
        return None
    start = int(first) if first else max(size - int(last), 0)
    stop = min(int(last) + 1, size) if first and last else size
    if start >= stop:
        raise RangeNotSatisfiableError(
            f"range: expected bytes within 0-{size - 1}, got {header!r:.60}", size=size
        )
    return ByteRange(start, stop)
