"""Records that prove themselves: what a crash tore, or a disk damaged, is passed over.

A record is a magic of four bytes, u32 payload length, the first 16 bytes of the payload's BLAKE3,
and the payload.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from latentcrdt.core.encoding import digest

_HEAD = struct.Struct("<4sI16s")


def seal(magic: bytes, payload: bytes) -> bytes:
    """Return the record of a payload."""
    return _HEAD.pack(magic, len(payload), _checksum(payload)) + payload


def unseal(magic: bytes, data: bytes) -> Iterator[bytes | int]:
    """Yield the payload of every record that verifies, and how many bytes lie before the next."""
    position = 0
    while position < len(data):
        payload = _payload_at(magic, data, position)
        if payload is None:
            following = data.find(magic, position + 1)
            resume = len(data) if following < 0 else following
            yield resume - position
            position = resume
        else:
            yield payload
            position += _HEAD.size + len(payload)


def _payload_at(magic: bytes, data: bytes, position: int) -> bytes | None:
    if len(data) - position < _HEAD.size:
        return None
    found, length, checksum = _HEAD.unpack_from(data, position)
    start = position + _HEAD.size
    if found != magic or length > len(data) - start:
        return None
    payload = data[start : start + length]
    return payload if _checksum(payload) == checksum else None


def _checksum(payload: bytes) -> bytes:
    return digest(payload)[:16]
