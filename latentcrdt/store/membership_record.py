"""The records of a membership log: each stands for itself, so damage costs no more than it hit.

A record is the magic, u32 payload length, the first 16 bytes of the payload's BLAKE3, and the
payload: a state as `latentcrdt.core.delta` spells it. Merge needs no order among records, so every
one that verifies counts, wherever it stands, and anything else is passed over.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from latentcrdt.core.delta import decode_delta, encode_delta
from latentcrdt.core.encoding import digest
from latentcrdt.core.ids import StateName
from latentcrdt.core.state import LatentState

MAGIC = b"LCM1"

_HEAD = struct.Struct("<4sI16s")


@dataclass(slots=True)
class SegmentContents:
    """What a scan of one segment found."""

    states: dict[StateName, LatentState] = field(default_factory=dict)
    num_bytes_skipped: int = 0
    """Bytes that belong to no record that verifies: a torn tail, or damage."""


def encode_record(name: StateName, delta: LatentState) -> bytes:
    """Return the record that merges ``delta`` into a state; an empty one declares it."""
    payload = encode_delta(name, delta)
    return _HEAD.pack(MAGIC, len(payload), _checksum(payload)) + payload


def scan_segment(data: bytes) -> SegmentContents:
    """Return what every record that verifies says, searching past anything else.

    Raises an InvalidInputError for a record that verifies and yet cannot be understood (a later
    release wrote it): to pass over that one would be to forget members.
    """
    found = SegmentContents()
    position = 0
    while position < len(data):
        payload = _payload_at(data, position)
        if payload is None:
            following = data.find(MAGIC, position + 1)
            resume = len(data) if following < 0 else following
            found.num_bytes_skipped += resume - position
            position = resume
            continue
        name, delta = decode_delta(payload)
        found.states.setdefault(name, LatentState()).merge(delta)
        position += _HEAD.size + len(payload)
    return found


def _payload_at(data: bytes, position: int) -> bytes | None:
    if len(data) - position < _HEAD.size:
        return None
    magic, length, checksum = _HEAD.unpack_from(data, position)
    start = position + _HEAD.size
    if magic != MAGIC or length > len(data) - start:
        return None
    payload = data[start : start + length]
    return payload if _checksum(payload) == checksum else None


def _checksum(payload: bytes) -> bytes:
    return digest(payload)[:16]
