"""The records of a membership log: each stands for itself, so damage costs no more than it hit.

A record is sealed (`latentcrdt.store.sealed`): a state as `latentcrdt.core.delta` spells it. Merge
needs no order among records, so every one that verifies counts, wherever it stands, and anything
else is passed over.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from latentcrdt.core.delta import decode_delta, encode_delta
from latentcrdt.core.ids import StateName
from latentcrdt.core.state import LatentState
from latentcrdt.store.sealed import seal, unseal

MAGIC = b"LCM1"


@dataclass(slots=True)
class SegmentContents:
    """What a scan of one segment found."""

    states: dict[StateName, LatentState] = field(default_factory=dict)
    num_records: int = 0
    num_bytes_skipped: int = 0
    """Bytes that belong to no record that verifies: a torn tail, or damage."""


def encode_record(name: StateName, delta: LatentState) -> bytes:
    """Return the record that merges ``delta`` into a state; an empty one declares it."""
    return seal(MAGIC, encode_delta(name, delta))


def scan_segment(data: bytes) -> SegmentContents:
    """Return what every record that verifies says, searching past anything else.

    Raises an InvalidInputError for a record that verifies and yet cannot be understood (a later
    release wrote it): to pass over that one would be to forget members.
    """
    found = SegmentContents()
    for payload in unseal(MAGIC, data):
        if isinstance(payload, int):
            found.num_bytes_skipped += payload
            continue
        name, delta = decode_delta(payload)
        found.states.setdefault(name, LatentState()).merge(delta)
        found.num_records += 1
    return found
