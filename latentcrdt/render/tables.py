"""Rotation tables: cos and sin of delta * inv_freq, correctly rounded (RENDER_SPEC section 5)."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from latentcrdt.core.geometry import Dtype, RopeDescriptor, RopeStyle
from latentcrdt.render.reals import cosine_and_sine, round_significant

Bits: TypeAlias = NDArray[np.unsignedinteger]
"""K or V as the little-endian integers that spell its elements, ``[H, T, D]``, maybe strided."""

TABLE_BITS = {Dtype.BF16: 16, Dtype.F16: 13, Dtype.F32: 24}
"""Significant bits P of a table entry: with them every product of section 6 is exact."""

SMALLEST_EXPONENT = -40
"""Magnitudes below 2^-40 become 0, in tables (section 5) and in keys (section 3)."""


@dataclass(frozen=True, slots=True, eq=False)
class RotationTable:
    """How one fragment's keys turn under one rope descriptor; a table never changes."""

    rope: RopeDescriptor
    cos: NDArray[np.floating]
    """``[rotary_dim / 2]``, exact in P bits."""
    sin: NDArray[np.floating]
    """``[rotary_dim / 2]``, exact in P bits."""
    turns: NDArray[np.bool_]
    """``[rotary_dim / 2]``: False where inv_freq is 0; such pairs are copied, not computed."""

    def copy_still(self, source: Bits, into: Bits) -> None:
        """Copy the dimensions of ``[..., D]`` that do not turn, verbatim."""
        into[..., self.rope.rotary_dim :] = source[..., self.rope.rotary_dim :]
        still = still_pairs(self.rope)
        if len(still):
            into[..., still] = source[..., still]


def pair_indices(rope: RopeDescriptor) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the dimensions (a, b) of every rotated pair, each ``[rotary_dim / 2]``."""
    i = np.arange(rope.rotary_dim // 2)
    if rope.style is RopeStyle.HALF:
        return i, i + rope.rotary_dim // 2
    return 2 * i, 2 * i + 1


@lru_cache(maxsize=512)
def rotation_table(rope: RopeDescriptor, delta: int, dtype: Dtype) -> RotationTable:
    """Return the table for a delta in tokens, not 0: the definition that `many_tables` is held to.

    It takes about a millisecond; `rotation_tables` takes one for hundreds of deltas.
    """
    assert delta != 0, "delta 0 copies bytes; arithmetic would change -0.0"
    pairs = [_entry(delta, frequency, TABLE_BITS[dtype]) for frequency in rope.frequencies]
    cos, sin = np.array(pairs, dtype=np.float64).reshape(-1, 2).T.copy()
    for array in (cos, sin):
        array.setflags(write=False)
    return RotationTable(rope, cos, sin, turning_pairs(rope))


@lru_cache(maxsize=64)
def turning_pairs(rope: RopeDescriptor) -> NDArray[np.bool_]:
    """Return which pairs turn at all, ``[rotary_dim / 2]``."""
    turns = np.array([frequency != 0 for frequency in rope.frequencies])
    turns.setflags(write=False)
    return turns


@lru_cache(maxsize=64)
def still_pairs(rope: RopeDescriptor) -> NDArray[np.int64]:
    """Return the dimensions of the pairs that do not turn, ``[dimensions]``."""
    pairs = np.concatenate([i[~turning_pairs(rope)] for i in pair_indices(rope)]).astype(np.int64)
    pairs.setflags(write=False)
    return pairs


def _entry(delta: int, frequency: float, precision: int) -> tuple[float, float]:
    if frequency == 0:
        return 1.0, 0.0
    cos, sin = cosine_and_sine(delta * Fraction(frequency))
    return (
        round_significant(cos, precision, zero_below=SMALLEST_EXPONENT),
        round_significant(sin, precision, zero_below=SMALLEST_EXPONENT),
    )
