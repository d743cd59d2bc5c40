"""See the header of a fragment while its bytes go by, before its body does."""

from __future__ import annotations

from collections.abc import Callable

from latentcrdt.core.container import (
    FRAGMENT_MAGIC,
    PREAMBLE_BYTES,
    body_offset,
    read_preamble,
)
from latentcrdt.core.encoding import Buffer
from latentcrdt.core.header import FragmentHeader


class HeaderWatch:
    """Passes a fragment file on; tells of its header as soon as that is whole."""

    def __init__(
        self, write: Callable[[Buffer], None], on_header: Callable[[FragmentHeader], None]
    ) -> None:
        """``write`` verifies what it takes, so ``on_header`` sees well-formed ones alone.

        What ``on_header`` raises comes out of the write that completed the header.
        """
        self._write = write
        self._on_header = on_header
        self._head = bytearray()
        self._is_seen = False

    def write(self, data: Buffer) -> None:
        """Take the next bytes."""
        self._write(data)
        if self._is_seen:
            return
        self._head += data
        if len(self._head) < PREAMBLE_BYTES:
            return
        length = read_preamble(FRAGMENT_MAGIC, self._head)
        if len(self._head) >= body_offset(length):
            header = FragmentHeader.decode(self._head[PREAMBLE_BYTES : PREAMBLE_BYTES + length])
            self._is_seen, self._head = True, bytearray()
            self._on_header(header)
