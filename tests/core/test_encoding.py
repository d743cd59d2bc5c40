from __future__ import annotations

import tracemalloc

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentcrdt.core.encoding import decode, encode
from latentcrdt.errors import InvalidInputError, MalformedError, UnsupportedVersionError

values = st.recursive(
    st.none() | st.integers(-(2**63), 2**64 - 1) | st.binary(max_size=300) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=20,
)


@pytest.mark.parametrize("unit", [b"\x90", b"\x91\x90", b"\x92\x01\x01", b"\x80"])
@pytest.mark.parametrize("wrap", [b"", b"\x91"])
def test_a_bomb_takes_no_memory(unit, wrap):
    # 16 MiB of arrays within arrays: they once unpacked to more than a gigabyte.
    count = (16 << 20) // (len(unit) + len(wrap))
    bomb = b"\xdd" + count.to_bytes(4, "big") + (wrap + unit) * count
    tracemalloc.start()
    with pytest.raises(MalformedError):
        decode("k", 1, bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_a_bomb_of_nested_long_arrays_takes_no_memory():
    row = b"\xdc\xff\xff" + b"\x90" * 0xFFFF
    bomb = b"\xdc\x00\xff" + row * 0xFF
    tracemalloc.start()
    with pytest.raises(MalformedError):
        decode("k", 1, bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 << 20


@given(st.lists(values, max_size=6))
def test_what_is_encoded_is_decoded(fields):
    assert decode("k", 1, encode("k", 1, fields)) == fields


@given(st.lists(values, max_size=4), st.lists(values, max_size=4))
def test_different_fields_have_different_bytes(a, b):
    assert (encode("k", 1, a) == encode("k", 1, b)) == (a == b)


@given(st.text(min_size=1, max_size=80))
def test_text_is_counted_in_bytes(text):
    packed = encode("k", 1, [text])
    assert packed.endswith(text.encode())
    assert decode("k", 1, packed) == [text]


def test_kinds_separate_the_pre_images_of_different_objects():
    assert encode("latentcrdt.class", 1, [1]) != encode("latentcrdt.plan", 1, [1])


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_decoder(data):
    try:
        fields = decode("k", 1, data)
    except InvalidInputError:
        return
    assert isinstance(fields, list)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", MalformedError),
        (b"\xc1", MalformedError),
        (b"\x91" * 100_000, MalformedError),
        (b"\xdd\xff\xff\xff\xff", MalformedError),
        (b"\xc6\xff\xff\xff\xff", MalformedError),
        (msgpack.packb({"k": 1}), MalformedError),
        (b"\x81\x90\x01", MalformedError),  # a map keyed by an array: once a bare TypeError
        (msgpack.packb(["other", 1]), MalformedError),
        (msgpack.packb(["k"]), MalformedError),
        (msgpack.packb(["k", 1]) + b"\x00", MalformedError),
        (msgpack.packb(["k", 2]), UnsupportedVersionError),
        (msgpack.packb(["k", True]), UnsupportedVersionError),
        (msgpack.packb(["k", 1.0]), UnsupportedVersionError),
    ],
)
def test_a_wrong_array_is_named_for_what_it_is(data, error):
    with pytest.raises(error):
        decode("k", 1, data)
