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
from latentcrdt.core.encoding import Buffer, Hasher
from latentcrdt.core.fragment import check_body_length, check_section
from latentcrdt.core.header import FragmentHeader
from latentcrdt.core.ids import FragmentId
from latentcrdt.errors import DigestMismatchError, TooLargeError, TruncatedError


class FragmentReader:
    """Checks one fragment file, fed in pieces of any size."""

    def __init__(self, *, max_bytes: int, expected_id: FragmentId | None = None) -> None:
        """``max_bytes`` bounds the whole file; ``expected_id`` is what the sender declared."""
        self.header: FragmentHeader | None = None
        """Known as soon as its last byte was fed; its id is then already checked."""
        self.num_bytes = 0
        """Bytes fed so far."""
        self._max_bytes = max_bytes
        self._expected_id = expected_id
        self._head = bytearray()
        self._body_offset: int | None = None
        self._section = 0
        self._section_left = 0
        self._hasher = Hasher()

    def feed(self, data: Buffer) -> None:
        """Take the next bytes; raises the InvalidInputError that they deserve, at once."""
        view = memoryview(data).cast("B")
        self.num_bytes += len(view)
        self._check_size(self.num_bytes)
        if self.header is None:
            view = self._feed_head(view)
        if self.header is not None:
            self._feed_body(self.header, view)

    def finish(self) -> FragmentHeader:
        """Return the verified header, or raise TruncatedError if bytes are missing."""
        if self.header is None:
            raise TruncatedError(f"the body ended inside the header, after {self.num_bytes} bytes")
        assert self._body_offset is not None
        check_body_length(self.header, self.num_bytes - self._body_offset)
        if self._section < len(self.header.sections):
            # feed refused a section, and its caller went on all the same: refuse it again.
            check_section(self.header, self.header.sections[self._section], self._hasher.digest())
        return self.header

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
        self._check_size(offset + header.body_bytes)
        self.header, self._body_offset = header, offset
        self._section_left = header.sections[0].size
        self._head = bytearray()
        return view

    def _feed_body(self, header: FragmentHeader, view: memoryview) -> None:
        """Hash section by section. A file that goes on after its last section is refused."""
        while len(view):
            if self._section == len(header.sections):
                assert self._body_offset is not None
                check_body_length(header, self.num_bytes - self._body_offset)
            piece, view = view[: self._section_left], view[self._section_left :]
            self._hasher.update(piece)
            self._section_left -= len(piece)
            if not self._section_left:
                check_section(header, header.sections[self._section], self._hasher.digest())
                self._hasher = Hasher()
                self._section += 1
                if self._section < len(header.sections):
                    self._section_left = header.sections[self._section].size

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
