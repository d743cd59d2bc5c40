"""Canonical bytes, and the only place that calls msgpack and blake3.

Rule: an object that is hashed is one msgpack array of fixed positions, ``[kind, version, ...]``,
made of nil, integers, byte strings, text and arrays only. Reason: maps carry an order, and floats
and booleans a choice of spelling; either would give one content two ids. ``kind`` separates the
pre-images of different objects. A decoder rebuilds the object, encodes it again and compares.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import blake3
import msgpack

from latentcrdt.errors import MalformedError, NotCanonicalError, UnsupportedVersionError

Buffer: TypeAlias = bytes | bytearray | memoryview

DIGEST_BYTES = 32
"""Length of a BLAKE3 digest."""

MAX_ELEMENTS = 1 << 18
"""Elements of all arrays of one object together.

One byte of msgpack can stand for an array that takes sixty: without this bound a header of 16 MiB
unpacks to more than a gigabyte. It allows 4096 layers and fifty thousand fragments in a plan.
"""


class Hasher:
    """An incremental BLAKE3 hash of one thread (all cores in one request would starve others)."""

    def __init__(self) -> None:
        self._hash = blake3.blake3()

    def copy(self) -> Hasher:
        """Return a hash that has absorbed the same, and goes on by itself."""
        other = Hasher()
        other._hash = self._hash.copy()
        return other

    def update(self, data: Buffer) -> None:
        """Absorb ``data``."""
        self._hash.update(data)

    def digest(self) -> bytes:
        """Return the 32-byte digest of all data so far."""
        return self._hash.digest()


def digest(data: Buffer) -> bytes:
    """Return the plain (unkeyed) BLAKE3 digest of ``data``, 32 bytes."""
    return blake3.blake3(data).digest()


def encode(kind: str, version: int, fields: list[Any]) -> bytes:
    """Return the canonical bytes of one object of this kind and version."""
    packed: bytes = msgpack.packb([kind, version, *fields], use_bin_type=True)
    return packed


def decode(kind: str, version: int, data: Buffer) -> list[Any]:
    """Return the fields of one object; the caller must re-encode what it made of them.

    Raises MalformedError for bytes that are no such array, UnsupportedVersionError for another
    version of it.
    """
    num_elements = 0

    def count(elements: list[Any]) -> list[Any]:
        nonlocal num_elements
        num_elements += len(elements)
        if num_elements > MAX_ELEMENTS:
            raise ValueError(f"more than {MAX_ELEMENTS} elements")
        return elements

    try:
        value = msgpack.unpackb(
            data,
            raw=False,
            list_hook=count,
            max_array_len=MAX_ELEMENTS,
            max_map_len=0,
            max_ext_len=0,
        )
    except (ValueError, RecursionError, OverflowError, msgpack.UnpackException) as error:
        raise MalformedError(f"expected one msgpack array of kind {kind!r}: {error!r}") from error
    if not isinstance(value, list) or len(value) < 2 or value[0] != kind:
        raise MalformedError(f"expected a msgpack array that starts with {kind!r}")
    if type(value[1]) is not int or value[1] != version:
        raise UnsupportedVersionError(
            f"expected {kind} version {version}, got {value[1]!r:.40}", kind=kind, expected=version
        )
    return value[2:]


def check_one_spelling(kind: str, given: Buffer, canonical: bytes) -> None:
    """Raise NotCanonicalError unless ``given`` is the one permitted spelling."""
    if bytes(given) != canonical:
        raise NotCanonicalError(
            f"the {kind} is not in its one canonical spelling "
            f"({len(given)} bytes given, {len(canonical)} canonical)",
            kind=kind,
        )


def pack_document(document: Any) -> bytes:
    """Return a readable document as msgpack. Documents are never hashed, so maps are welcome."""
    packed: bytes = msgpack.packb(document, use_bin_type=True)
    return packed


def pack_document_head(document: Mapping[str, Any], name: str, num_elements: int) -> bytes:
    """Return the start of a document whose last member is a list, to be followed by its elements.

    Each element is what `pack_document` makes of it; there is nothing to be added at the end.
    """
    packer = msgpack.Packer(use_bin_type=True)
    packed: bytes = packer.pack_map_header(len(document) + 1)
    for key, value in document.items():
        packed += packer.pack(key) + packer.pack(value)
    head: bytes = packed + packer.pack(name) + packer.pack_array_header(num_elements)
    return head


def unpack_document(data: Buffer) -> Any:
    """Return the document that msgpack bytes spell, or raise MalformedError."""
    try:
        return msgpack.unpackb(data, raw=False)
    except (
        ValueError,
        TypeError,  # a map whose key is an array or a map
        RecursionError,
        OverflowError,
        msgpack.UnpackException,
    ) as error:
        raise MalformedError(f"expected one msgpack document: {error!r}") from error


def as_int(value: Any, name: str, low: int, high: int) -> int:
    """Return ``value`` if it is an integer in ``[low, high]``; else MalformedError names it."""
    if type(value) is not int or not low <= value <= high:
        raise MalformedError(f"{name}: expected an integer in [{low}, {high}], got {value!r:.60}")
    return value


def as_bytes(value: Any, name: str, length: int | None = None) -> bytes:
    """Return ``value`` if it is a byte string (of this length, when given)."""
    if type(value) is not bytes or (length is not None and len(value) != length):
        expected = "a byte string" if length is None else f"{length} bytes"
        raise MalformedError(f"{name}: expected {expected}, got {value!r:.60}")
    return value


def as_text(value: Any, name: str, max_bytes: int) -> str:
    """Return ``value`` if it is non-empty printable text of at most ``max_bytes`` UTF-8 bytes."""
    if type(value) is not str or not value or not value.isprintable():
        raise MalformedError(f"{name}: expected printable text, got {value!r:.60}")
    if len(value.encode()) > max_bytes:
        raise MalformedError(f"{name}: expected at most {max_bytes} bytes of UTF-8")
    return value


def as_list(
    value: Any, name: str, length: int | None = None, max_length: int = 1 << 20
) -> list[Any]:
    """Return ``value`` if it is an array (of this length, when given)."""
    if type(value) is not list or (length is not None and len(value) != length):
        expected = "an array" if length is None else f"an array of {length}"
        raise MalformedError(f"{name}: expected {expected}, got {value!r:.60}")
    if len(value) > max_length:
        raise MalformedError(f"{name}: expected at most {max_length} elements, got {len(value)}")
    return value
