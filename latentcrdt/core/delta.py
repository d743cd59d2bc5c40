"""The canonical bytes of a state, or of what one state adds to another: on disk and on the wire.

``["latentcrdt.delta", 1, state name, ids, end, retracted]``: the ids ascending and joined, the end
of the lifetime in Unix seconds or nil, 1 for a retracted state (which has neither) or 0.
"""

from __future__ import annotations

from latentcrdt.core.encoding import (
    DIGEST_BYTES,
    Buffer,
    as_bytes,
    as_int,
    as_list,
    as_text,
    check_one_spelling,
    decode,
    encode,
)
from latentcrdt.core.ids import FragmentId, StateName
from latentcrdt.core.state import LatentState
from latentcrdt.errors import MalformedError

KIND = "latentcrdt.delta"
VERSION = 1

MAX_EXPIRES_AT = 2**40
"""The largest end of a lifetime, in Unix seconds: 34,000 years from now."""


def encode_delta(name: StateName, state: LatentState) -> bytes:
    """Return the bytes that `decode_delta` reads."""
    fields = [str(name), b"".join(state.ids), state.expires_at, int(state.is_retracted)]
    return encode(KIND, VERSION, fields)


def decode_delta(data: Buffer) -> tuple[StateName, LatentState]:
    """Return the name and the state; raises InvalidInputError for anything but the one spelling."""
    text, joined, end, flag = as_list(decode(KIND, VERSION, data), "state", 4)
    name = StateName(as_text(text, "state name", 63))
    state = LatentState(
        split_ids(as_bytes(joined, "ids")),
        expires_at=None if end is None else as_int(end, "expires_at", 0, MAX_EXPIRES_AT),
        retracted=bool(as_int(flag, "retracted", 0, 1)),
    )
    check_one_spelling("state", data, encode_delta(name, state))
    return name, state


def split_ids(joined: bytes) -> list[FragmentId]:
    """Return the ids that lie side by side, or raise MalformedError."""
    if len(joined) % DIGEST_BYTES:
        raise MalformedError(f"ids: expected whole ids of {DIGEST_BYTES} bytes, got {len(joined)}")
    return [FragmentId(joined[i : i + DIGEST_BYTES]) for i in range(0, len(joined), DIGEST_BYTES)]
