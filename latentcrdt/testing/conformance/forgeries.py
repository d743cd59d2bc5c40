"""Fragment files that no honest sender makes."""

from __future__ import annotations

import struct
from typing import Any

from latentcrdt.core.container import FRAGMENT_MAGIC, frame
from latentcrdt.core.encoding import decode, encode
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.geometry import Dtype
from latentcrdt.core.header import KIND, VERSION

FIELDS = ("model_id", "dtype", "ropes", "layers", "start", "seq_len", "prefix", "token_ids")
"""Header fields by position (docs/format.md section 4), as far as they are forged."""

MOST_DIM = 65535
"""The most heads and dimensions that a layer may have."""


def with_field(fragment: Fragment, name: str, value: Any) -> bytes:
    """Return the fragment's file with one header field replaced."""
    fields = decode(KIND, VERSION, fragment.header.encoded)
    fields[FIELDS.index(name)] = value
    return frame(FRAGMENT_MAGIC, encode(KIND, VERSION, fields)) + fragment.body


def with_kind(fragment: Fragment, kind: str, version: int) -> bytes:
    """Return the fragment's file with another kind or version in its header."""
    fields = decode(KIND, VERSION, fragment.header.encoded)
    return frame(FRAGMENT_MAGIC, encode(kind, version, fields)) + fragment.body


def with_long_integer(fragment: Fragment) -> bytes:
    """Return the fragment's file with its header's version spelt in two bytes instead of one."""
    header = fragment.header.encoded
    at = header.index(KIND.encode()) + len(KIND)
    assert header[at] == VERSION
    return frame(FRAGMENT_MAGIC, header[:at] + b"\xcc" + header[at:]) + fragment.body


def with_padding(fragment: Fragment) -> bytes:
    """Return the fragment's file with padding that is not zero."""
    framing = fragment.framing
    assert len(framing) > 16 + len(fragment.header.encoded)
    return framing[:-1] + b"\x01" + fragment.body


def with_flipped_bit(data: bytes, bit: int) -> bytes:
    """Return these bytes with one bit turned over, counted from the first byte's lowest."""
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


def with_header_length(num_bytes: int) -> bytes:
    """Return the beginning of a file that says its header is this long."""
    return FRAGMENT_MAGIC + num_bytes.to_bytes(8, "little") + bytes(64)


def with_absurd_sizes(fragment: Fragment) -> bytes:
    """Return a file whose header implies a body of some 10^19 bytes."""
    fields = decode(KIND, VERSION, fragment.header.encoded)
    layers, seq_len = fields[FIELDS.index("layers")], 2**31 - 2
    fields[FIELDS.index("layers")] = [
        [kind, window, MOST_DIM, MOST_DIM, MOST_DIM, rope, seq_len]
        for kind, window, _, _, _, rope, _ in layers
    ]
    fields[FIELDS.index("seq_len")] = seq_len
    return frame(FRAGMENT_MAGIC, encode(KIND, VERSION, fields)) + fragment.body


def with_first_key(fragment: Fragment, bits: int) -> Fragment:
    """Return a fragment, honest in every digest, whose first element of K has these bits."""
    header = fragment.header
    layers = [
        (bytes(fragment.keys(i)), bytes(fragment.values(i)))
        for i in range(len(header.geometry.layers))
    ]
    element = struct.pack("<I" if header.geometry.dtype is Dtype.F32 else "<H", bits)
    layers[0] = (element + layers[0][0][len(element) :], layers[0][1])
    return Fragment.build(header.geometry, layers, start=header.start, seq_len=header.seq_len)
