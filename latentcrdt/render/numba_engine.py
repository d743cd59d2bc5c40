"""The compiled engine: one pass over the keys, in little more than the time of a copy.

numba turns these loops into vector code, with no compiler on the machine, and keeps the result on
disk. Each pair is widened, flushed, turned and rounded in registers; nothing is gathered in scratch
first. Every product is exact, so LLVM may fuse or reorder as it likes (RENDER_SPEC section 6).

Integers are narrowed back to uint32 after every step: numba's promote to 64 bits, which would halve
the number of lanes.
"""

# numba compiles the functions below; annotations and Python's own types do not reach it.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
# ruff: noqa: ANN001, ANN202

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import float32, float64, int32, njit, types, uint16, uint32

from latentcrdt.core.geometry import Dtype, RopeStyle
from latentcrdt.render.bits import SMALLEST_KEY, UNSIGNED
from latentcrdt.render.tables import Bits, RotationTable

FLUSH_BF16 = SMALLEST_KEY[Dtype.BF16] - 1
FLUSH_F32 = SMALLEST_KEY[Dtype.F32] - 1
"""Less one, as in `bits.flush`: 0 wraps round to the largest integer and is never flushed."""

inline = njit(inline="always")


@inline
def _widen_bf16(bits):
    magnitude = uint32(bits) & uint32(0x7FFF)
    tiny = uint32(magnitude - uint32(1)) < uint32(FLUSH_BF16)
    widened = uint32(0) if tiny else uint32(uint32(bits) << uint32(16))
    return np.uint32(widened).view(np.float32)


@inline
def _narrow_bf16(x):
    bits = np.float32(x).view(np.uint32)
    odd = (bits >> uint32(16)) & uint32(1)
    return uint16(uint32(bits + uint32(0x7FFF) + odd) >> uint32(16))


@inline
def _widen_f16(bits):
    sign = uint32((uint32(bits) & uint32(0x8000)) << uint32(16))
    magnitude = uint32(uint32(bits) & uint32(0x7FFF))
    # Subnormals count units of 2^-24; others take the wider exponent's bias.
    subnormal = np.float32(float32(int32(magnitude)) * float32(2.0**-24)).view(np.uint32)
    normal = uint32((magnitude << uint32(13)) + uint32(112 << 23))
    widened = subnormal if magnitude < uint32(0x400) else normal
    return np.uint32(widened | sign).view(np.float32)


@inline
def _narrow_f16(x):
    bits = np.float32(x).view(np.uint32)
    sign = (bits >> uint32(16)) & uint32(0x8000)
    magnitude = uint32(bits & uint32(0x7FFFFFFF))
    # Added to 0.5, whose last place is 2^-24, a subnormal result is rounded by the addition.
    raised = np.float32(np.uint32(magnitude).view(np.float32) + np.float32(0.5))
    subnormal = uint32(raised.view(np.uint32) - uint32(0x3F000000))
    odd = (magnitude >> uint32(13)) & uint32(1)
    normal = uint32((uint32(magnitude + uint32(0xFFF) + odd) >> uint32(13)) - uint32(112 << 10))
    return uint16(sign | (subnormal if magnitude < uint32(0x38800000) else normal))


@inline
def _widen_f32(bits):
    magnitude = uint32(bits & uint32(0x7FFFFFFF))
    tiny = uint32(magnitude - uint32(1)) < uint32(FLUSH_F32)
    return float64(np.uint32(uint32(0) if tiny else uint32(bits)).view(np.float32))


@inline
def _narrow_f32(x):
    return np.float32(x).view(np.uint32)


# One function for each dtype and style, at module level: numba's cache on disk tells closures apart
# by what they close over, and would compile them anew in every process.


def _half_bf16(source, into, cos, sin):
    half = len(cos)
    for t in range(source.shape[0]):
        for i in range(half):
            a, b = _widen_bf16(source[t, i]), _widen_bf16(source[t, i + half])
            into[t, i] = _narrow_bf16(a * cos[i] - b * sin[i])
            into[t, i + half] = _narrow_bf16(b * cos[i] + a * sin[i])


def _half_f16(source, into, cos, sin):
    half = len(cos)
    for t in range(source.shape[0]):
        for i in range(half):
            a, b = _widen_f16(source[t, i]), _widen_f16(source[t, i + half])
            into[t, i] = _narrow_f16(a * cos[i] - b * sin[i])
            into[t, i + half] = _narrow_f16(b * cos[i] + a * sin[i])


def _half_f32(source, into, cos, sin):
    half = len(cos)
    for t in range(source.shape[0]):
        for i in range(half):
            a, b = _widen_f32(source[t, i]), _widen_f32(source[t, i + half])
            into[t, i] = _narrow_f32(a * cos[i] - b * sin[i])
            into[t, i + half] = _narrow_f32(b * cos[i] + a * sin[i])


def _interleaved_bf16(source, into, cos, sin):
    for t in range(source.shape[0]):
        for i in range(len(cos)):
            a, b = _widen_bf16(source[t, 2 * i]), _widen_bf16(source[t, 2 * i + 1])
            into[t, 2 * i] = _narrow_bf16(a * cos[i] - b * sin[i])
            into[t, 2 * i + 1] = _narrow_bf16(b * cos[i] + a * sin[i])


def _interleaved_f16(source, into, cos, sin):
    for t in range(source.shape[0]):
        for i in range(len(cos)):
            a, b = _widen_f16(source[t, 2 * i]), _widen_f16(source[t, 2 * i + 1])
            into[t, 2 * i] = _narrow_f16(a * cos[i] - b * sin[i])
            into[t, 2 * i + 1] = _narrow_f16(b * cos[i] + a * sin[i])


def _interleaved_f32(source, into, cos, sin):
    for t in range(source.shape[0]):
        for i in range(len(cos)):
            a, b = _widen_f32(source[t, 2 * i]), _widen_f32(source[t, 2 * i + 1])
            into[t, 2 * i] = _narrow_f32(a * cos[i] - b * sin[i])
            into[t, 2 * i + 1] = _narrow_f32(b * cos[i] + a * sin[i])


LOOPS = {
    (Dtype.BF16, RopeStyle.HALF): _half_bf16,
    (Dtype.F16, RopeStyle.HALF): _half_f16,
    (Dtype.F32, RopeStyle.HALF): _half_f32,
    (Dtype.BF16, RopeStyle.INTERLEAVED): _interleaved_bf16,
    (Dtype.F16, RopeStyle.INTERLEAVED): _interleaved_f16,
    (Dtype.F32, RopeStyle.INTERLEAVED): _interleaved_f32,
}


def _compile(dtype: Dtype, loop: Callable[..., None]) -> Callable[..., None]:
    """Compile one loop, or load it from numba's cache."""
    integer, real = (uint32, float64) if dtype is Dtype.F32 else (uint16, float32)
    rows_in, rows_out = types.Array(integer, 2, "C", readonly=True), types.Array(integer, 2, "C")
    table = types.Array(real, 1, "C", readonly=True)
    signature = types.void(rows_in, rows_out, table, table)
    compiled: Callable[..., None] = njit(signature, nogil=True, cache=True)(loop)
    return compiled


class NumbaEngine:
    """Turns the rows of each head in one compiled loop, without the interpreter's lock."""

    name = "numba"

    def __init__(self) -> None:
        self._loops = {key: _compile(key[0], loop) for key, loop in LOOPS.items()}

    def rotate(self, source: Bits, into: Bits, dtype: Dtype, table: RotationTable) -> None:
        """Write the rotation of ``source`` ``[H, T, D]`` to ``into``."""
        turn = self._loops[dtype, table.rope.style]
        real: Any = np.float64 if dtype is Dtype.F32 else np.float32
        cos, sin = table.cos.astype(real), table.sin.astype(real)
        for head_in, head_out in zip(source, into, strict=True):
            turn(_native(head_in, dtype), head_out, cos, sin)
        table.copy_still(source, into)


def _native(rows: Bits, dtype: Dtype) -> Bits:
    """Return contiguous, aligned rows: a view, unless a fragment came in an odd buffer."""
    return np.require(rows, UNSIGNED[dtype].newbyteorder("="), ["C", "A"])
