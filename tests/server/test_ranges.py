from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from latentcrdt_server.etags import none_match_fails, range_applies
from latentcrdt_server.ranges import ByteRange, parse_range

from latentcrdt.errors import RangeNotSatisfiableError


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", ByteRange(0, 1)),
        ("bytes=2-5", ByteRange(2, 6)),
        ("bytes=2-", ByteRange(2, 10)),
        ("bytes=-3", ByteRange(7, 10)),
        ("bytes=-30", ByteRange(0, 10)),
        ("bytes=5-100", ByteRange(5, 10)),
        ("Bytes= 1-2 ", ByteRange(1, 3)),
    ],
)
def test_one_range_is_clipped_to_the_object(header: str, expected: ByteRange) -> None:
    assert parse_range(header, 10) == expected


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0"])
def test_a_range_outside_the_object_is_not_satisfiable(header: str) -> None:
    with pytest.raises(RangeNotSatisfiableError) as caught:
        parse_range(header, 10)
    assert caught.value.details["size"] == 10


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "bytes=",
        "bytes=-",
        "bytes=5-2",
        "bytes=0-1,3-4",
        "lines=0-1",
        "bytes=a-b",
        "bytes=+1-2",
        "bytes=1--2",
        "bytes=٣-",
        "bytes=" + "9" * 5000 + "-",
    ],
)
def test_what_is_not_one_well_formed_range_of_bytes_asks_for_the_whole(header: str | None) -> None:
    assert parse_range(header, 10) is None


@given(st.text(alphabet="bytes=0123456789-, ", max_size=40), st.integers(1, 1000))
def test_any_range_that_is_accepted_lies_within_the_object(header: str, size: int) -> None:
    try:
        part = parse_range(header, size)
    except RangeNotSatisfiableError:
        return
    assert part is None or 0 <= part.start < part.stop <= size


@pytest.mark.parametrize("header", ['"a"', 'W/"a"', '"x", "a"', '"x",W/"a"', "*", " * "])
def test_if_none_match_that_names_the_tag_means_unchanged(header: str) -> None:
    assert none_match_fails(header, '"a"')


@pytest.mark.parametrize("header", [None, "", "a", '"b"', '"a', '"aa"', '"a "', '"b","c"'])
def test_if_none_match_that_names_another_tag_means_send(header: str | None) -> None:
    assert not none_match_fails(header, '"a"')


def test_a_range_counts_only_while_if_range_names_the_same_bytes() -> None:
    assert range_applies(None, '"a"')
    assert range_applies('"a"', '"a"')
    assert not range_applies('W/"a"', '"a"')
    assert not range_applies("Sat, 01 Aug 2026 00:00:00 GMT", '"a"')
