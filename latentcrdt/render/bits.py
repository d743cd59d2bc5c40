"""K as bits: widening, the flush rule and rounding by integer arithmetic (RENDER_SPEC 3 and 6).

Everything here works on the integers that spell the floats, so that flush-to-zero modes, vector
widths and library versions have nothing to act upon.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from latentcrdt.core.encoding import Buffer
from latentcrdt.core.geometry import Dtype
from latentcrdt.render.tables import SMALLEST_EXPONENT

UNSIGNED: dict[Dtype, np.dtype[np.unsignedinteger]] = {
    Dtype.BF16: np.dtype("<u2"),
    Dtype.F16: np.dtype("<u2"),
    Dtype.F32: np.dtype("<u4"),
}
"""The integers that spell a dtype's values, little-endian."""

LARGEST_KEY = {Dtype.BF16: 0x7F7F, Dtype.F16: 0x7800, Dtype.F32: 0x7F7FFFFF}
"""Largest magnitude that K may have: finite, and 2^15 for f16 (RENDER_SPEC section 1)."""

SMALLEST_KEY = {
    Dtype.BF16: (SMALLEST_EXPONENT + 127) << 7,
    Dtype.F16: 0,  # the smallest f16 is 2^-24: nothing to flush
    Dtype.F32: (SMALLEST_EXPONENT + 127) << 23,
}
"""The bits of 2^-40: smaller magnitudes become +0."""


def as_bits(data: Buffer, dtype: Dtype) -> NDArray[np.unsignedinteger]:
    """Return the bits of a section's elements, without a copy."""
    return np.frombuffer(data, dtype=UNSIGNED[dtype])


def magnitude_mask(dtype: Dtype) -> int:
    """Return the mask that takes the sign off."""
    return (1 << (8 * dtype.itemsize - 1)) - 1


def flush(bits: NDArray[np.unsignedinteger], dtype: Dtype) -> NDArray[np.unsignedinteger]:
    """Return the bits with magnitudes in (0, 2^-40) replaced by +0; -0 stays -0."""
    # Less one, 0 wraps round to the largest integer: one comparison then finds the tiny ones.
    magnitude_less_one = (bits & magnitude_mask(dtype)) - np.ones_like(bits[:1])
    limit = SMALLEST_KEY[dtype] - 1
    if limit < 0 or not bits.size or int(magnitude_less_one.min()) >= limit:
        return bits
    return np.where(magnitude_less_one < limit, np.zeros_like(bits), bits)


def widen(bits: NDArray[np.unsignedinteger], dtype: Dtype) -> NDArray[np.floating]:
    """Return the exact values: binary32 for bf16 and f16, binary64 for f32."""
    if dtype is Dtype.BF16:
        return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)
    if dtype is Dtype.F16:
        return bits.astype(np.uint16).view(np.float16).astype(np.float32)
    return bits.astype(np.uint32).view(np.float32).astype(np.float64)


def narrow(values: NDArray[np.floating], dtype: Dtype) -> NDArray[np.unsignedinteger]:
    """Return the bits of the values rounded to nearest, ties to even."""
    if dtype is Dtype.BF16:
        # No bf16 in numpy. Adding half of the dropped part, less one unless the kept part is odd,
        # carries exactly when nearest-even says so, to infinity where the largest is exceeded.
        bits = values.view(np.uint32)
        odd = (bits >> np.uint32(16)) & np.uint32(1)
        return ((bits + np.uint32(0x7FFF) + odd) >> np.uint32(16)).astype(UNSIGNED[dtype])
    if dtype is Dtype.F16:
        return values.astype(np.float16).view(np.uint16).astype(UNSIGNED[dtype])
    return values.astype(np.float32).view(np.uint32).astype(UNSIGNED[dtype])
