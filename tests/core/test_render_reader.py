"""A render stream checked while it arrives, against the same bytes checked at rest."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentcrdt.core.container import RENDER_MAGIC
from latentcrdt.core.digester import RunDigester
from latentcrdt.core.placement import place
from latentcrdt.core.receipt import Receipt
from latentcrdt.core.render_reader import RenderReader
from latentcrdt.core.rendered import Render
from latentcrdt.errors import (
    DigestMismatchError,
    InvalidInputError,
    MalformedError,
    TooLargeError,
    TruncatedError,
)
from latentcrdt.render.sort_key import sort_key
from latentcrdt.render.stream import render, run_digests
from latentcrdt.testing.fragments import make_fragment, make_geometry

GEOMETRY = make_geometry(windows=(6,))
HELD = {
    f.fragment_id: f
    for f in (make_fragment(i, geometry=GEOMETRY, seq_len=n) for i, n in enumerate((3, 5, 4)))
}
PLAN = place([f.header for f in HELD.values()])
RECEIPT = Receipt(PLAN, tuple(sort_key(f) for f in HELD.values()), tuple(run_digests(PLAN, HELD)))
STREAM = render(PLAN, HELD).to_bytes()
BODY = len(PLAN.framing)


def checking(plan):
    assert plan == PLAN
    return RunDigester(plan, RECEIPT)


def read(data, sizes=(1 << 20,), **options):
    reader = RenderReader(**{"max_bytes": 1 << 20, "begin": checking, **options})
    position = 0
    while position < len(data):
        for size in sizes:
            reader.feed(data[position : position + size])
            position += size
    return reader.finish()


def feed_all(reader, data, size):
    for start in range(0, len(data), size):
        reader.feed(data[start : start + size])


def location(offset):
    """Layer, part and fragment of a byte of the body: counted in another way than the reader's."""
    for layer in range(3):
        for part in ("keys", "values"):
            for _head in range(2):
                for run in PLAN.runs(layer):
                    offset -= run.num_rows * 16
                    if offset < 0:
                        return layer, part, str(run.placement.fragment_id)
    raise AssertionError("past the body")


@given(st.lists(st.integers(1, 400), min_size=1, max_size=5))
def test_pieces_of_any_size_give_the_digests_of_the_receipt(sizes):
    for begin in (checking, RunDigester):
        assert read(STREAM, sizes, begin=begin) == (PLAN, list(RECEIPT.digests))


@given(st.integers(0, len(STREAM) - BODY - 1), st.integers(1, 255), st.integers(1, 500))
@settings(max_examples=200)
def test_a_wrong_byte_is_named_when_its_section_is_complete_and_not_later(offset, flip, size):
    changed = bytearray(STREAM)
    changed[BODY + offset] ^= flip
    layer, part, fragment = location(offset)
    section_end = BODY + sum(PLAN.keys_bytes(i) + PLAN.values_bytes(i) for i in range(layer))
    section_end += PLAN.keys_bytes(layer) + (part == "values") * PLAN.values_bytes(layer)
    reader = RenderReader(max_bytes=1 << 20, begin=checking)
    with pytest.raises(DigestMismatchError) as caught:
        feed_all(reader, changed, size)
    details = caught.value.details
    assert (details["layer"], details["part"], details["fragment"]) == (layer, part, fragment)
    assert section_end <= reader.num_bytes < section_end + size


@pytest.mark.parametrize("offset", [BODY, len(STREAM) - 1], ids=["first section", "last section"])
def test_what_was_refused_stays_refused(offset):
    changed = bytearray(STREAM)
    changed[offset] ^= 1
    reader = RenderReader(max_bytes=1 << 20, begin=checking)
    cut = offset + 1
    refusals = 0
    for piece in (changed[:cut], changed[cut:]):
        try:
            reader.feed(piece)
        except DigestMismatchError:
            refusals += 1
    with pytest.raises(DigestMismatchError):
        reader.finish()
    assert refusals == 1


@given(st.integers(0, len(STREAM) - 1), st.integers(1, 300))
def test_every_truncation_is_noticed_at_the_end(length, size):
    with pytest.raises(TruncatedError):
        read(STREAM[:length], [size])


@pytest.mark.parametrize("begin", [checking, lambda _: None], ids=["checking", "unchecked"])
def test_bytes_after_the_body_are_refused_at_once_and_at_the_end(begin):
    reader = RenderReader(max_bytes=1 << 20, begin=begin)
    reader.feed(STREAM)
    with pytest.raises(TruncatedError, match="more"):
        reader.feed(b"\0")
    with pytest.raises(TruncatedError, match="more"):
        reader.finish()


@given(st.integers(0, BODY - 1), st.integers(1, 255), st.integers(1, 300))
def test_a_wrong_byte_before_the_body_is_refused_or_another_plan(offset, flip, size):
    changed = bytearray(STREAM)
    changed[offset] ^= flip
    try:
        plan, _ = read(bytes(changed), [size], begin=RunDigester)
    except InvalidInputError:
        return
    assert plan != PLAN


def test_the_plan_is_known_and_may_be_refused_before_the_body():
    seen = []

    def refuse(plan):
        seen.append(plan)
        raise MalformedError("not this one")

    reader = RenderReader(max_bytes=1 << 20, begin=refuse)
    assert not reader.feed(STREAM[: BODY - 1])
    with pytest.raises(MalformedError, match="not this one"):
        reader.feed(STREAM[BODY - 1 : BODY])
    assert seen == [PLAN]


def test_what_belongs_to_the_body_is_handed_back():
    reader = RenderReader(max_bytes=1 << 20)
    pieces = [bytes(reader.feed(STREAM[i : i + 100])) for i in range(0, len(STREAM), 100)]
    assert b"".join(pieces) == STREAM[BODY:]


def test_a_limit_is_enforced_before_the_body_arrives():
    reader = RenderReader(max_bytes=len(STREAM) - 1)
    with pytest.raises(TooLargeError):
        reader.feed(STREAM[:BODY])


def test_a_wrong_magic_is_refused_at_its_first_byte():
    reader = RenderReader(max_bytes=100)
    with pytest.raises(MalformedError):
        reader.feed(b"P")


def test_an_absurd_header_length_takes_no_memory():
    tracemalloc.start()
    with pytest.raises(TooLargeError):
        RenderReader(max_bytes=1 << 40).feed(RENDER_MAGIC + b"\xff" * 8)
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_a_render_at_rest_has_the_same_digests():
    assert Render.from_buffer(STREAM).run_digests() == list(RECEIPT.digests)
