from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentcrdt.core.container import FRAGMENT_MAGIC
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.ids import FragmentId
from latentcrdt.core.reader import FragmentReader
from latentcrdt.errors import (
    DigestMismatchError,
    InvalidInputError,
    MalformedError,
    NotCanonicalError,
    TooLargeError,
    TruncatedError,
)
from latentcrdt.testing.fragments import make_fragment, make_geometry

FRAGMENT = make_fragment(3, geometry=make_geometry(windows=(3,)))
FILE = FRAGMENT.to_bytes()
BODY = len(FILE) - FRAGMENT.header.body_bytes


def read(data, sizes=(1 << 20,), **options):
    reader = FragmentReader(max_bytes=options.pop("max_bytes", 1 << 20), **options)
    position = 0
    while position < len(data):
        for size in sizes:
            reader.feed(data[position : position + size])
            position += size
    return reader.finish()


def verdict(function, *args):
    """What the function returns, or the class of the refusal."""
    try:
        return function(*args)
    except InvalidInputError as error:
        return type(error)


@given(st.lists(st.integers(1, 200), min_size=1, max_size=5))
def test_pieces_of_any_size_give_the_same_header(sizes):
    assert read(FILE, sizes) == FRAGMENT.header


@given(st.data())
def test_it_refuses_what_the_whole_file_reader_refuses(data):
    changed = bytearray(FILE)
    changed[data.draw(st.integers(0, len(FILE) - 1))] ^= data.draw(st.integers(1, 255))
    pieces = [data.draw(st.integers(1, 500))]
    whole, streamed = (
        verdict(Fragment.from_buffer, bytes(changed)),
        verdict(read, bytes(changed), pieces),
    )
    if isinstance(whole, Fragment):
        assert streamed == whole.header != FRAGMENT.header
        with pytest.raises(DigestMismatchError):
            read(bytes(changed), pieces, expected_id=FRAGMENT.fragment_id)
    else:
        # A header that implies another length: of that and a digest, each may notice one first.
        assert issubclass(streamed, InvalidInputError)
        assert changed[:BODY] != FILE[:BODY] or streamed is whole


@given(st.integers(0, len(FILE) - 1))
def test_every_truncation_is_noticed_at_the_end(length):
    with pytest.raises(TruncatedError):
        read(FILE[:length])


def test_the_first_byte_after_the_body_is_refused():
    with pytest.raises(TruncatedError):
        read(FILE + b"\x00")


def test_a_wrong_magic_is_refused_at_its_first_byte():
    reader = FragmentReader(max_bytes=100)
    with pytest.raises(MalformedError):
        reader.feed(b"P")


def test_padding_that_is_not_zero_is_refused():
    header_end = 16 + len(FRAGMENT.header.encoded)
    changed = bytearray(FILE)
    changed[header_end] = 1
    with pytest.raises(NotCanonicalError):
        read(bytes(changed))


def test_another_id_than_declared_is_refused_before_the_body():
    reader = FragmentReader(max_bytes=1 << 20, expected_id=FragmentId(bytes(32)))
    with pytest.raises(DigestMismatchError):
        reader.feed(FILE[: len(FILE) - FRAGMENT.header.body_bytes])


def test_a_limit_is_enforced_by_the_header_before_the_body_arrives():
    reader = FragmentReader(max_bytes=len(FILE) - 1)
    with pytest.raises(TooLargeError):
        reader.feed(FILE[: len(FILE) - FRAGMENT.header.body_bytes])


def test_an_absurd_header_length_takes_no_memory():
    tracemalloc.start()
    with pytest.raises(TooLargeError):
        FragmentReader(max_bytes=1 << 40).feed(FRAGMENT_MAGIC + b"\xff" * 8)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_an_absurd_body_length_takes_no_memory():
    header = make_fragment(seq_len=5).header
    huge = type(header)(header.geometry, 0, 2**31 - 2, header.digests)
    data = FRAGMENT_MAGIC + len(huge.encoded).to_bytes(8, "little") + huge.encoded + bytes(64)
    tracemalloc.start()
    with pytest.raises(TooLargeError):
        FragmentReader(max_bytes=1 << 30).feed(data)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_the_header_is_known_before_the_body():
    reader = FragmentReader(max_bytes=1 << 20)
    reader.feed(FILE[: len(FILE) - FRAGMENT.header.body_bytes])
    assert reader.header == FRAGMENT.header
