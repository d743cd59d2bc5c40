"""Verify a fragment while it arrives: bytes in, typed errors out, memory bounded.

Sans I/O: the caller reads (a socket, a file, a queue) and calls ``feed``; after the last byte it
calls ``finish``. Only the header is ever held; the body is hashed section by section and let go.
"""

from __future__ import annotations

from latentcrdt.core.container import (
    FRAGMENT_MAGIC,
    PREAMBLE_BYTES,
    body_offset,
    check_magic,
    check_padding,
    read_preamble,
)
from latentcrdt.core.encoding import Buffer
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.sections_reader import SectionsReader
from latentcrdt.errors import DigestMismatchError, TooLargeError, TruncatedError


class FragmentReader:
    """Checks one fragment file, fed in pieces of any size."""

    def __init__(self, *, max_bytes: int, expected_id: FragmentId | None = None) -> None:
        """``max_bytes`` bounds the whole file; ``expected_id`` is what the sender declared."""
        self.sections: SectionsReader | None = None
        """What reads the body; there as soon as the header's last byte was fed and checked."""
        self.num_bytes = 0
        """Bytes fed so far."""
        self._max_bytes = max_bytes
        self._expected_id = expected_id
        self._head = bytearray()

    def feed(self, data: Buffer) -> None:
        """Take the next bytes; raises the InvalidInputError that they deserve, at once."""
        view = memoryview(data).cast("B")
        self.num_bytes += len(view)
        self._check_size(self.num_bytes)
        if self.sections is None:
            view = self._feed_head(view)
        if self.sections is not None:
            self.sections.feed(view)

    @property
    def header(self) -> FragmentHeader | None:
        """The header, as soon as its last byte was fed; its id is then already checked."""
        return None if self.sections is None else self.sections.header

    def finish(self) -> FragmentHeader:
        """Return the verified header, or raise TruncatedError if bytes are missing."""
        if self.sections is None:
            raise TruncatedError(f"the body ended inside the header, after {self.num_bytes} bytes")
        self.sections.finish()
        return self.sections.header

    def _feed_head(self, view: memoryview) -> memoryview:
        """Gather preamble, header and padding; return what belongs to the body."""
        if len(self._head) < PREAMBLE_BYTES:
            view = self._gather(view, PREAMBLE_BYTES)
            check_magic(FRAGMENT_MAGIC, self._head)
            if len(self._head) < PREAMBLE_BYTES:
                return view
        length = read_preamble(FRAGMENT_MAGIC, self._head)
        offset = body_offset(length)
        self._check_size(offset)
        view = self._gather(view, offset)
        if len(self._head) < offset:
            return view
        check_padding(self._head[PREAMBLE_BYTES + length :])
        header = FragmentHeader.decode(self._head[PREAMBLE_BYTES : PREAMBLE_BYTES + length])
        if self._expected_id is not None and header.fragment_id != self._expected_id:
            raise DigestMismatchError(
                f"expected fragment {self._expected_id}, got {header.fragment_id}",
                expected=str(self._expected_id),
                actual=str(header.fragment_id),
            )
        self._check_size(header.file_bytes)
        self.sections = SectionsReader(header)
        self._head = bytearray()
        return view

    def _gather(self, view: memoryview, upto: int) -> memoryview:
        missing = upto - len(self._head)
        self._head += view[:missing]
        return view[missing:]

    def _check_size(self, num_bytes: int) -> None:
        if num_bytes > self._max_bytes:
            raise TooLargeError(
                f"expected a fragment of at most {self._max_bytes} bytes, got at least {num_bytes}",
                limit=self._max_bytes,
            )
