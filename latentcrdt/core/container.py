"""The container that fragment files and render streams share (docs/format.md section 2).

Magic (8 bytes), u64 little-endian header length, header, zero padding to a multiple of 64, body.
"""

from __future__ import annotations

from latentcrdt.core.encoding import Buffer
from latentcrdt.errors import MalformedError, NotCanonicalError, TooLargeError, TruncatedError

FRAGMENT_MAGIC = b"LCRDT-F1"
RENDER_MAGIC = b"LCRDT-R1"

PREAMBLE_BYTES = 16
"""Magic and header length: the least from which the rest can be judged."""

ALIGNMENT = 64
"""The body starts at a multiple of this: a cache line, and more than any element needs."""

MAX_HEADER_BYTES = 16 * 2**20
"""A header holds 64 bytes a layer and 4 bytes a token: this allows four million tokens."""


def padding(header_bytes: int) -> int:
    """Return the number of zero bytes between a header of this length and the body."""
    return -(PREAMBLE_BYTES + header_bytes) % ALIGNMENT


def body_offset(header_bytes: int) -> int:
    """Return where the body starts, in bytes from the first byte of the container."""
    return PREAMBLE_BYTES + header_bytes + padding(header_bytes)


def frame(magic: bytes, header: bytes) -> bytes:
    """Return everything that stands before the body."""
    return magic + len(header).to_bytes(8, "little") + header + bytes(padding(len(header)))


def check_magic(magic: bytes, data: Buffer) -> None:
    """Raise MalformedError unless ``data``, as far as it goes, starts with the magic."""
    start = bytes(data[: len(magic)])
    if not magic.startswith(start):
        raise MalformedError(f"expected the magic {magic!r}, got {start!r}")


def read_preamble(magic: bytes, data: Buffer) -> int:
    """Return the header's length from the first 16 bytes; no memory is taken on its word."""
    check_magic(magic, data)
    if len(data) < PREAMBLE_BYTES:
        raise TruncatedError(f"expected {PREAMBLE_BYTES} bytes before the header, got {len(data)}")
    length = int.from_bytes(data[8:16], "little")
    if length > MAX_HEADER_BYTES:
        raise TooLargeError(
            f"expected a header of at most {MAX_HEADER_BYTES} bytes, got {length}",
            limit=MAX_HEADER_BYTES,
        )
    return length


def split(magic: bytes, data: memoryview) -> tuple[memoryview, memoryview]:
    """Return the header's bytes and the body of a whole container that lies in memory."""
    length = read_preamble(magic, data)
    offset = body_offset(length)
    if len(data) < offset:
        raise TruncatedError(f"expected {offset} bytes before the body, got {len(data)}")
    check_padding(data[PREAMBLE_BYTES + length : offset])
    return data[PREAMBLE_BYTES : PREAMBLE_BYTES + length], data[offset:]


def check_padding(data: Buffer) -> None:
    """Raise NotCanonicalError unless the padding is all zeros."""
    if any(data):
        raise NotCanonicalError("expected zero padding between header and body")
