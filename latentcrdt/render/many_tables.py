"""The tables of many deltas at once: the same bits as `rotation_table`, in a few array operations.

Angles are reduced exactly, in integers; the series are summed in binary64 by operations that IEEE
754 defines, no libm. The error is bounded, and where the whole interval does not round to one
number, about once in 2^20, the exact arithmetic of `tables` decides: it is never a guess.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentcrdt.core.geometry import Dtype, RopeDescriptor
from latentcrdt.render.reals import pi
from latentcrdt.render.tables import (
    SMALLEST_EXPONENT,
    TABLE_BITS,
    RotationTable,
    rotation_table,
    turning_pairs,
)

BLOCK_DELTAS = 128
"""Deltas computed at a time, so that what is written next is still in cache."""

MOST_REMEMBERED = 4096
"""Deltas of one set of tables that is kept: 4 MB of heads of 128 dimensions in float64."""

TURN_BITS = 96
"""Fractional bits of a frequency in turns: a delta's 31 leave 64 exact ones, less one unit."""

RELATIVE_ERROR = 2.0**-46
"""Of a sum; a dozen roundings of 2^-53 each, and 2^-60 for the terms left out, are far below."""

ABSOLUTE_ERROR = 2.0**-60
"""Of an angle in radians: less than two units of 2^-64 turns, 2 pi each."""

SIN = [(-1) ** n / math.factorial(2 * n + 1) for n in range(9)]
COS = [(-1) ** n / math.factorial(2 * n) for n in range(10)]
"""Coefficients by powers of x squared, for \\|x\\| <= pi / 4."""

REAL: dict[Dtype, type[np.floating[Any]]] = {
    Dtype.BF16: np.float32,
    Dtype.F16: np.float32,
    Dtype.F32: np.float64,
}
"""The type in which products of keys and table entries are exact."""


@dataclass(frozen=True, slots=True, eq=False)
class RotationTables:
    """How keys turn under one rope descriptor, by each of several deltas; compared by identity."""

    rope: RopeDescriptor
    cos: NDArray[np.floating]
    """``[deltas, rotary_dim / 2]``, in the type in which products are exact."""
    sin: NDArray[np.floating]
    """``[deltas, rotary_dim / 2]``"""
    turns: NDArray[np.bool_]
    """``[rotary_dim / 2]``: False where inv_freq is 0."""

    def __getitem__(self, row: int) -> RotationTable:
        return RotationTable(self.rope, self.cos[row], self.sin[row], self.turns)


def rotation_tables(
    rope: RopeDescriptor, deltas: NDArray[np.int64], dtype: Dtype
) -> RotationTables:
    """Return the tables of deltas ``[n]`` in tokens, none of them 0.

    Those of a few thousand are remembered: a render that is fetched in ranges asks for each again.
    """
    assert deltas.all(), "delta 0 copies bytes; arithmetic would change -0.0"
    make = _remembered if len(deltas) <= MOST_REMEMBERED else _tables
    return make(rope, deltas.astype(np.int64).tobytes(), dtype)


def _tables(rope: RopeDescriptor, packed_deltas: bytes, dtype: Dtype) -> RotationTables:
    deltas = np.frombuffer(packed_deltas, np.int64)
    shape = len(deltas), rope.rotary_dim // 2
    cos, sin = np.empty(shape, REAL[dtype]), np.empty(shape, REAL[dtype])
    for first in range(0, len(deltas), BLOCK_DELTAS):
        block = slice(first, first + BLOCK_DELTAS)
        cos[block], sin[block] = _block(rope, deltas[block], dtype)
    for array in (cos, sin):
        array.setflags(write=False)
    return RotationTables(rope, cos, sin, turning_pairs(rope))


_remembered = lru_cache(maxsize=8)(_tables)


def _block(
    rope: RopeDescriptor, deltas: NDArray[np.int64], dtype: Dtype
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return cos and sin ``[deltas, rotary_dim / 2]``, correctly rounded."""
    precision = TABLE_BITS[dtype]
    quadrant, x = _reduce(rope, np.abs(deltas).astype(np.uint64))
    square = x * x
    near_sin, near_cos = x * _series(SIN, square), _series(COS, square)
    odd = (quadrant & np.uint64(1)).astype(np.bool_)
    cos, cos_is_sure = _round(np.abs(np.where(odd, near_sin, near_cos)), precision)
    sin, sin_is_sure = _round(np.abs(np.where(odd, near_cos, near_sin)), precision)
    # The signs of cos(x + quadrant * pi / 2); x itself is negative or not.
    backward = x < 0
    cos_negative = np.where(odd, (quadrant == 1) != backward, quadrant == 2)
    sin_negative = np.where(odd, quadrant == 3, (quadrant == 2) != backward)
    sin_negative = sin_negative != (deltas < 0)[:, None]
    # Plus 0.0: a table has no -0.
    cos, sin = np.where(cos_negative, -cos, cos) + 0.0, np.where(sin_negative, -sin, sin) + 0.0
    for row, pair in np.argwhere(~(cos_is_sure & sin_is_sure)):
        exact = rotation_table(rope, int(deltas[row]), dtype)
        cos[row, pair], sin[row, pair] = exact.cos[pair], exact.sin[pair]
    return cos, sin


def _reduce(
    rope: RopeDescriptor, magnitudes: NDArray[np.uint64]
) -> tuple[NDArray[np.uint64], NDArray[np.float64]]:
    """Return the nearest quadrant of every angle and the rest in radians, ``[n, pairs]``."""
    low, middle, high = _turns_per_token(rope)
    deltas, shift = magnitudes[:, None], np.uint64(32)
    # Whole turns overflow and are lost, as they should be.
    turns = ((deltas * high) << shift) + deltas * middle + ((deltas * low) >> shift)
    quadrant = ((turns + np.uint64(1 << 61)) >> np.uint64(62)) & np.uint64(3)
    rest = (turns - (quadrant << np.uint64(62))).view(np.int64)
    return quadrant, rest.astype(np.float64) * (2 * math.pi / 2**64)


@lru_cache(maxsize=64)
def _turns_per_token(rope: RopeDescriptor) -> NDArray[np.uint64]:
    """Return ``frac(inv_freq / 2 pi) * 2^96``, rounded down, in three 32-bit limbs ``[3, pairs]``.

    The lowest limb comes first.
    """
    # Frequencies are below 2^128: pi with so many bits leaves no error in the last of them.
    width = TURN_BITS + 128 + 96
    two_pi = 2 * pi(width)
    limbs = []
    for frequency in map(Fraction, rope.frequencies):
        whole = (frequency.numerator << (TURN_BITS + width)) // (frequency.denominator * two_pi)
        limbs.append([(whole >> shift) & 0xFFFFFFFF for shift in (0, 32, 64)])
    return np.array(limbs, dtype=np.uint64).T.copy()


def _series(coefficients: list[float], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum of ``coefficients[n] * x ** n``."""
    total = np.full_like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total *= x
        total += coefficient
    return total


def _round(
    values: NDArray[np.float64], precision: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return values >= 0 rounded to ``precision`` bits, and whether their error cannot matter."""
    error = values * RELATIVE_ERROR + ABSOLUTE_ERROR
    below, above = (
        _round_significant(x, precision) for x in (np.maximum(values - error, 0), values + error)
    )
    return below, below == above


def _round_significant(values: NDArray[np.float64], precision: int) -> NDArray[np.float64]:
    """Return values >= 0 rounded to ``precision`` significant bits, or 0 below 2^-40."""
    dropped = 53 - precision
    # A carry out of the fraction is one into the exponent, as it should be.
    bits = values.view(np.int64) + np.int64(1 << (dropped - 1))
    rounded = (bits & np.int64(-(1 << dropped))).view(np.float64)
    return np.where(rounded < 2.0**SMALLEST_EXPONENT, 0.0, rounded)
