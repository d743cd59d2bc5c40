from __future__ import annotations

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
