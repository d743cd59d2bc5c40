"""Tables of many deltas at once against the exact ones, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentcrdt.core.geometry import Dtype, RopeDescriptor, RopeStyle
from latentcrdt.render import many_tables
from latentcrdt.render.golden import DELTAS, ROPES, descriptor
from latentcrdt.render.many_tables import rotation_tables
from latentcrdt.render.reals import pi
from latentcrdt.render.tables import rotation_table

LARGEST = float(np.finfo(np.float32).max)

usual = st.floats(2**-24, 2, width=32)
tiny = st.floats(2**-46, 2**-34, width=32)
frequency = usual | tiny | st.just(0.0) | st.floats(0, LARGEST, width=32, allow_subnormal=False)
delta = (st.integers(-9, 9) | st.integers(-(2**31) + 1, 2**31 - 1)).filter(bool)


def rope_of(frequencies):
    inv_freq = np.abs(np.array(frequencies, "<f4")).tobytes()
    return RopeDescriptor(RopeStyle.HALF, 2 * len(frequencies), inv_freq)


def assert_exact(rope, deltas, dtype):
    tables = rotation_tables(rope, np.array(deltas), dtype)
    for row, moved in enumerate(deltas):
        got, expected = tables[row], rotation_table(rope, moved, dtype)
        for part in ("cos", "sin"):
            # By their bytes: a zero has a sign.
            wide = getattr(got, part).astype(np.float64)
            assert wide.tobytes() == getattr(expected, part).tobytes(), (part, moved)
        assert np.array_equal(got.turns, expected.turns)


@given(
    st.lists(frequency, min_size=1, max_size=4),
    st.lists(delta, min_size=1, max_size=6),
    st.sampled_from(list(Dtype)),
)
@settings(max_examples=200, deadline=None)
def test_law_tables_made_together_are_those_made_one_by_one(frequencies, deltas, dtype):
    assert_exact(rope_of(frequencies), deltas, dtype)


@pytest.mark.parametrize("dtype", list(Dtype))
@pytest.mark.parametrize("name", ROPES)
def test_golden_tables_are_made_together_too(name, dtype):
    assert_exact(descriptor(name), [*DELTAS, -4096, 3, *range(100, 130)], dtype)


@pytest.mark.parametrize("dtype", list(Dtype))
def test_angles_next_to_a_quarter_turn_are_exact(dtype):
    # Where cos or sin is nearly 0, or an angle is rounded to the wrong quadrant.
    quarters = [np.float32(np.pi / 2 * k) for k in (1, 2, 3, 4, 5, 1001)]
    near = [float(np.nextafter(q, np.float32(to))) for q in quarters for to in (0, 1e9)]
    assert_exact(rope_of([*map(float, quarters), *near]), [1, -1, 2, -3, 4, 355, 2**31 - 1], dtype)


@pytest.mark.parametrize("side", [1, -1])
def test_a_cosine_too_small_to_keep_is_a_positive_zero(side):
    # delta * mantissa * 2^-54 within 2^-41 of pi / 2, on this side of it; one in 2^11 mantissas.
    quarter = pi(54) >> 1
    mantissa, moved = next(
        (m, quarter // m + (side > 0))
        for m in range(1 << 23, 1 << 24)
        if 0 < side * ((quarter // m + (side > 0)) * m - quarter) < 1 << 12
    )
    rope = rope_of([mantissa * 2.0**-54])
    assert rotation_tables(rope, np.array([moved]), Dtype.BF16).cos[0, 0] == 0
    assert_exact(rope, [moved, -moved], Dtype.BF16)


def test_what_does_not_surely_round_is_decided_exactly(monkeypatch):
    asked = []

    def exact(rope, delta, dtype):
        asked.append(delta)
        return rotation_table(rope, delta, dtype)

    monkeypatch.setattr(many_tables, "rotation_table", exact)
    # 24 bits of 2^-39 are finer than the error of an angle in 64 bits.
    frequencies = [2.0**-39 * (1 + k / 2**23) for k in range(1, 64)]
    assert_exact(rope_of(frequencies), [1, -1], Dtype.F32)
    assert set(asked) == {1, -1}
    asked.clear()
    assert_exact(rope_of([1.0, 0.5, 0.01]), range(1, 1000), Dtype.BF16)
    assert asked == []


def test_more_deltas_than_one_block_holds_keep_their_places(monkeypatch):
    monkeypatch.setattr(many_tables, "BLOCK_DELTAS", 3)
    assert_exact(rope_of([1.0, 0.1]), [5, 4, 3, 2, 1, -1, -2, -3], Dtype.BF16)
