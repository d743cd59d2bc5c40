"""Between a section's bits and exact binary64 values.

Every element of a dtype is a normal number in binary64 (or 0, infinite, NaN), so that no
flush-to-zero mode has anything to act upon; and an element that a merge takes over from a branch
keeps its very bits, the sign of a zero and the payload of a NaN included. (Where several branches
have a NaN it is the anchor's: which one arithmetic would pass on depends on the processor.)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from latentcrdt.core.geometry import Dtype
from latentcrdt.render.bits import flush, magnitude_mask, narrow, widen
from latentcrdt.render.tables import Bits

SUBNORMALS: dict[Dtype, tuple[int, float]] = {
    Dtype.BF16: (0x0080, 2.0**-133),
    Dtype.F16: (0x0400, 2.0**-24),
    Dtype.F32: (0x00800000, 2.0**-149),
}
"""The bits of the smallest normal magnitude, and the unit of those below it."""

QUIET_NAN = {Dtype.BF16: 0x7FC0, Dtype.F16: 0x7E00, Dtype.F32: 0x7FC00000}
"""The one spelling of a NaN that is none of a branch's: processors differ in its sign."""


def to_values(bits: Bits, dtype: Dtype) -> NDArray[np.float64]:
    """Return the exact values of these bits."""
    magnitudes = bits & magnitude_mask(dtype)
    limit, unit = SUBNORMALS[dtype]
    with np.errstate(invalid="ignore"):  # a signalling NaN becomes a quiet one
        values = widen(bits, dtype).astype(np.float64)
    # By integers: a flush-to-zero mode would read subnormal elements as zero.
    tiny = magnitudes < limit
    if tiny.any():
        signs = np.where(bits == magnitudes, 1.0, -1.0)
        values[tiny] = (signs * (magnitudes * np.float64(unit)))[tiny]
    return values


def to_bits(values: NDArray[np.float64], dtype: Dtype, branches: Sequence[Bits]) -> Bits:
    """Return the bits of merged values, rounded to binary32 and then to the dtype.

    Magnitudes below 2^-40 become +0, as in a rotation. What equals an element of a branch, sign of
    zero included, is that element.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = values.astype(np.float32)
        tiny = np.abs(values) < 2.0**-40
        rounded[tiny] = 0
        merged = narrow(rounded.astype(np.float64) if dtype is Dtype.F32 else rounded, dtype)
    merged = flush(merged, dtype)
    missing = np.isnan(values)
    merged[missing] = QUIET_NAN[dtype]
    # The anchor last, so that it decides.
    for bits in reversed(branches):
        origin = to_values(bits, dtype)
        same = (origin == values) & (np.signbit(origin) == np.signbit(values))
        same |= missing & np.isnan(origin)
        merged[same] = bits[same]
    return merged
