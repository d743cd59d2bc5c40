"""The search for the smallest counterexample, without a server."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import strategies as st

from latentcrdt.errors import MalformedError
from latentcrdt.testing.conformance.examples import MAX_SHRINKS, for_all, fragment_sets, listed

NUMBERS = st.integers(0, 10_000)


def test_what_holds_is_tried_as_often_as_asked_and_raises_nothing() -> None:
    tried: list[int] = []
    for_all(NUMBERS, tried.append, max_examples=17)
    assert len(tried) == 17


def test_the_smallest_counterexample_is_noted_beside_its_own_message() -> None:
    def test(number: int) -> None:
        assert number < 100, f"{number} is too much"

    with pytest.raises(AssertionError, match=r"^100 is too much") as caught:
        for_all(NUMBERS, test, max_examples=100)
    assert caught.value.__notes__ == ["counterexample: 100"]


def test_bytes_that_cannot_be_read_are_a_counterexample_too() -> None:
    def test(number: int) -> None:
        if number >= 7:
            raise MalformedError(f"{number} bytes")

    with pytest.raises(AssertionError, match="7 bytes") as caught:
        for_all(NUMBERS, test, max_examples=100)
    assert caught.value.__notes__ == ["counterexample: 7"]


def test_shrinking_is_bounded_and_ends_with_a_known_failure() -> None:
    tried: list[list[int]] = []

    def test(numbers: list[int]) -> None:
        tried.append(numbers)
        assert sum(numbers) < 40_000, f"{numbers}"

    lists = st.lists(NUMBERS, min_size=20, max_size=50)
    with pytest.raises(AssertionError) as caught:
        for_all(lists, test, max_examples=200)
    first = next(i for i, numbers in enumerate(tried) if sum(numbers) >= 40_000)
    assert len(tried) - first - 1 <= MAX_SHRINKS
    (note,) = caught.value.__notes__
    assert note in {f"counterexample: {numbers}" for numbers in tried if sum(numbers) >= 40_000}


def test_what_fails_only_sometimes_is_said_to() -> None:
    calls = itertools.count()

    def test(_number: int) -> None:
        assert next(calls) != 3, "once"

    with pytest.raises(AssertionError, match="once") as caught:
        for_all(NUMBERS, test, max_examples=50)
    (note,) = caught.value.__notes__
    assert note.endswith("(not every time)")


def test_a_bug_of_a_check_is_not_taken_for_the_servers() -> None:
    def test(_number: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        for_all(NUMBERS, test, max_examples=5)


def test_drawn_fragments_are_of_the_model_given_and_of_one_class() -> None:
    def test(fragments: tuple) -> None:
        (geometry,) = {fragment.header.geometry for fragment in fragments}
        assert geometry.model_id == "a-model@1"
        assert all(fragment.fragment_id.hex()[:8] in listed(fragments) for fragment in fragments)

    for_all(fragment_sets("a-model@1", min_size=2), test, max_examples=20)
