from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.plan import LayerRange
from latentcrdt.core.sections_reader import SectionsReader
from latentcrdt.errors import DigestMismatchError, InvalidInputError, TruncatedError
from latentcrdt.testing.fragments import make_fragment, make_geometry

WITHOUT_LATENTS = make_fragment(5, geometry=make_geometry(windows=(3,)), seq_len=6)
FRAGMENT = Fragment.build(
    WITHOUT_LATENTS.header.geometry,
    [(WITHOUT_LATENTS.keys(i), WITHOUT_LATENTS.values(i)) for i in range(3)],
    start=0,
    seq_len=6,
    token_ids=[7, -1, -1, 8, 9, 10],
    latent_inputs=(4, bytes(range(16))),
)
HEADER = FRAGMENT.header
BODY = bytes(FRAGMENT.body)


def fed(num_bytes: int) -> SectionsReader:
    reader = SectionsReader(HEADER)
    reader.feed(BODY[:num_bytes])
    return reader


def feed_interleaved(data: st.DataObject, parts: list[SectionsReader], body: bytes) -> None:
    """Feed every part to its end: the next bytes of any of them, at each turn."""
    open_parts = list(parts)
    while open_parts:
        part = data.draw(st.sampled_from(open_parts))
        size = data.draw(st.integers(1, 400))
        part.feed(body[part.offset : min(part.offset + size, part.stop)])
        if part.offset == part.stop:
            open_parts.remove(part)


def test_the_fragment_has_sections_of_several_sizes():
    assert len({section.size for section in HEADER.sections}) > 2
    assert HEADER.sections[-1].layer is None


@given(st.integers(0, len(BODY)), st.integers(1, 9))
def test_parts_follow_one_another_from_where_the_reader_stood_to_the_end(done, num_parts):
    parts = fed(done).split(num_parts)
    assert len(parts) <= num_parts
    assert [part.offset for part in parts] == [done, *(part.stop for part in parts)][: len(parts)]
    assert [part.stop for part in parts][-1:] == ([len(BODY)] if done < len(BODY) else [])
    assert all(part.offset < part.stop for part in parts)


@given(st.data())
def test_parts_read_what_the_whole_reads_in_any_order(data):
    parts = fed(data.draw(st.integers(0, len(BODY)))).split(data.draw(st.integers(1, 9)))
    feed_interleaved(data, parts, BODY)
    for part in parts:
        part.finish()


@given(st.data())
def test_a_changed_byte_is_found_by_the_part_that_reads_it(data):
    done = data.draw(st.integers(0, len(BODY) - 1))
    position = data.draw(st.integers(done, len(BODY) - 1))
    parts = fed(done).split(data.draw(st.integers(1, 9)))
    changed = bytearray(BODY)
    changed[position] ^= data.draw(st.integers(1, 255))
    for part in parts:
        content = bytes(changed[part.offset : part.stop])
        if part.offset <= position < part.stop:
            with pytest.raises(DigestMismatchError):
                part.feed(content)
            with pytest.raises(InvalidInputError):
                part.finish()
        else:
            part.feed(content)
            part.finish()


def test_parts_are_about_equal():
    """No part is larger than its share by more than one section."""
    largest = max(section.size for section in HEADER.sections)
    for num_parts in range(1, 8):
        sizes = [part.stop - part.offset for part in fed(0).split(num_parts)]
        assert max(sizes) <= len(BODY) // num_parts + largest


def test_so_many_parts_as_there_are_bytes_are_the_sections():
    parts = fed(0).split(len(BODY))
    assert [part.offset for part in parts] == [section.offset for section in HEADER.sections]


@pytest.mark.parametrize("part", [0, 1])
def test_a_part_ends_where_it_is_to_end(part):
    reader = fed(10).split(2)[part]
    with pytest.raises(TruncatedError):
        reader.finish()
    with pytest.raises(TruncatedError):
        reader.feed(BODY[reader.offset : reader.stop] + b"x")
    with pytest.raises(TruncatedError):
        reader.finish()


def test_what_was_refused_for_its_length_stays_refused():
    reader = SectionsReader(HEADER)
    reader.feed(BODY)
    with pytest.raises(TruncatedError):
        reader.feed(b"x")
    with pytest.raises(TruncatedError):
        reader.finish()


def test_a_copy_goes_on_by_itself():
    reader = fed(10)
    reader.copy().feed(BODY[10:])
    assert reader.offset == 10
    reader.feed(BODY[10:])
    reader.finish()


def test_a_few_layers_are_read_without_the_others():
    reader = SectionsReader.of_layers(HEADER, LayerRange(1, 3))
    first, last = HEADER.keys_section(1), HEADER.values_section(2)
    assert (reader.offset, reader.stop) == (first.offset, last.stop)
    reader.feed(BODY[reader.offset : reader.stop])
    reader.finish()
