"""The decoders that `make fuzz` drives for long, driven here for a moment without its engine."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.fuzz.targets import TARGETS, Target


@pytest.mark.parametrize("name", TARGETS)
def test_honest_bytes_are_taken(name: str) -> None:
    assert TARGETS[name].seeds
    assert all(TARGETS[name].try_one(seed) for seed in TARGETS[name].seeds)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_changed_bytes_are_taken_or_refused_in_our_words(name: str, data: st.DataObject) -> None:
    changed = bytearray(data.draw(st.sampled_from(TARGETS[name].seeds)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(changed)))
        changed[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
    TARGETS[name].try_one(bytes(changed))


def test_a_decoder_that_fails_in_its_own_words_is_found() -> None:
    with pytest.raises(UnicodeDecodeError):
        Target(bytes.decode, ()).try_one(b"\xff")
