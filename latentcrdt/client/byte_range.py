"""Ranges of bytes as HTTP spells them: asked for and answered (RFC 9110 section 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})", re.ASCII)


@dataclass(frozen=True, slots=True)
class ByteRange:
    """The bytes ``start <= i < stop`` of a file; ``stop`` None: to its end."""

    start: int
    stop: int | None

    def __str__(self) -> str:
        """Return the value of a Range header."""
        return f"bytes={self.start}-{'' if self.stop is None else self.stop - 1}"


@dataclass(frozen=True, slots=True)
class ContentRange:
    """Which bytes of how many an answer holds: ``start <= i < stop`` of ``total``."""

    start: int
    stop: int
    total: int

    @classmethod
    def parse(cls, text: str) -> ContentRange | None:
        """Return what a Content-Range header says, or None for what is no such range."""
        match = _CONTENT_RANGE.fullmatch(text)
        if match is None:
            return None
        first, last, total = map(int, match.groups())
        return cls(first, last + 1, total) if first <= last < total else None
