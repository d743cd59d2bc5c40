"""Fragment files that no honest sender makes."""

from __future__ import annotations

from typing import Any

from latentcrdt.core.container import FRAGMENT_MAGIC, frame
from latentcrdt.core.encoding import decode, encode
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.geometry import Dtype
from latentcrdt.core.header import KIND, VERSION
from latentcrdt.testing.fragments import make_fragment, make_geometry

FIELDS = ("model_id", "dtype", "ropes", "layers", "start", "seq_len", "prefix", "token_ids")


def with_field(fragment: Fragment, name: str, value: Any) -> bytes:
    """Return the fragment's file with one header field replaced."""
    fields = decode(KIND, VERSION, fragment.header.encoded)
    fields[FIELDS.index(name)] = value
    return frame(FRAGMENT_MAGIC, encode(KIND, VERSION, fields)) + fragment.body


def with_version(fragment: Fragment, version: int) -> bytes:
    """Return the fragment's file with another format version in its header."""
    fields = decode(KIND, VERSION, fragment.header.encoded)
    return frame(FRAGMENT_MAGIC, encode(KIND, version, fields)) + fragment.body


def with_second_spelling(fragment: Fragment) -> bytes:
    """Return the fragment's file with its header's version spelt in two bytes instead of one."""
    header = fragment.header.encoded
    at = header.index(KIND.encode()) + len(KIND)
    assert header[at] == VERSION
    return frame(FRAGMENT_MAGIC, header[:at] + b"\xcc" + header[at:]) + fragment.body


def with_flipped_bit(fragment: Fragment) -> bytes:
    """Return the fragment's file with one bit of its last section turned over."""
    data = bytearray(fragment.to_bytes())
    data[-5] ^= 1
    return bytes(data)


def with_absurd_sizes(fragment: Fragment) -> bytes:
    """Return a file whose header implies a body of some 10^19 bytes."""
    fields = decode(KIND, VERSION, fragment.header.encoded)
    layers, seq_len = fields[FIELDS.index("layers")], 2**31 - 2
    fields[FIELDS.index("layers")] = [
        [kind, window, 65535, 65535, 65535, rope, seq_len]
        for kind, window, _, _, _, rope, _ in layers
    ]
    fields[FIELDS.index("seq_len")] = seq_len
    return frame(FRAGMENT_MAGIC, encode(KIND, VERSION, fields)) + fragment.body


def with_nan_keys(seed: int) -> bytes:
    """Return a fragment file, honest in every digest, whose first K element is NaN."""
    geometry = make_geometry(dtype=Dtype.F32, num_layers=1)
    honest = make_fragment(seed, geometry=geometry)
    keys = b"\x00\x00\xc0\x7f" + bytes(honest.keys(0))[4:]
    return Fragment.build(
        geometry, [(keys, bytes(honest.values(0)))], start=0, seq_len=5
    ).to_bytes()
