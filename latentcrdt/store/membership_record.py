"""The records of a membership log: each stands for itself, so damage costs no more than it hit.

A record is the magic, u32 payload length, the first 16 bytes of the payload's BLAKE3, and the
payload: the canonical encoding of ``["latentcrdt.members", 1, state name, ids]``, the ids ascending
and joined. A set that only grows needs no order among records, so every one that verifies counts,
wherever it stands, and anything else is passed over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from latentcrdt.core.encoding import (
    DIGEST_BYTES,
    as_bytes,
    as_list,
    as_text,
    check_one_spelling,
    decode,
    digest,
    encode,
)
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.errors import MalformedError

KIND = "latentcrdt.members"
VERSION = 1

MAGIC = b"LCM1"

_HEAD = struct.Struct("<4sI16s")


@dataclass(slots=True)
class SegmentContents:
    """What a scan of one segment found."""

    members: dict[StateName, set[FragmentId]] = field(default_factory=dict)
    num_bytes_skipped: int = 0
    """Bytes that belong to no record that verifies: a torn tail, or damage."""


def encode_record(state: StateName, ids: Iterable[FragmentId]) -> bytes:
    """Return the record that makes the ids members of a state; no ids declares the state."""
    payload = _encode_payload(state, sorted(set(ids)))
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
        state, ids = _decode_payload(payload)
        found.members.setdefault(state, set()).update(ids)
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


def _encode_payload(state: StateName, ids: list[FragmentId]) -> bytes:
    return encode(KIND, VERSION, [str(StateName(state)), b"".join(ids)])


def _decode_payload(payload: bytes) -> tuple[StateName, list[FragmentId]]:
    name, joined = as_list(decode(KIND, VERSION, payload), "membership record", 2)
    state = StateName(as_text(name, "state name", 63))
    raw = as_bytes(joined, "ids")
    if len(raw) % DIGEST_BYTES:
        raise MalformedError(f"ids: expected whole ids of {DIGEST_BYTES} bytes, got {len(raw)}")
    ids = [FragmentId(raw[i : i + DIGEST_BYTES]) for i in range(0, len(raw), DIGEST_BYTES)]
    check_one_spelling("membership record", payload, _encode_payload(state, sorted(set(ids))))
    return state, ids


def _checksum(payload: bytes) -> bytes:
    return digest(payload)[:16]
