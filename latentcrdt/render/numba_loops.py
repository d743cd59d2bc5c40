"""The compiled engine's loops: one pass over the rows of a section, from where they lie.

numba turns them into vector code, with no compiler on the machine, and keeps the result on disk.
Each pair is widened, flushed, turned and rounded in registers; nothing is gathered in scratch
first. Every product is exact, so LLVM may fuse or reorder as it likes (RENDER_SPEC section 6).

Integers are narrowed back to uint32 after every step: numba's promote to 64 bits, which would halve
the number of lanes.
"""

# numba compiles the functions below; annotations and Python's own types do not reach it.
# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
# mypy: disable-error-code="attr-defined, call-arg, unreachable"
# ruff: noqa: ANN001, ANN202, PLR0917

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import carray, float32, float64, int32, njit, types, uint16, uint32, uint64
from numba.extending import intrinsic

from latentcrdt.core.geometry import Dtype, RopeStyle
from latentcrdt.render.bits import SMALLEST_KEY

FLUSH_BF16 = SMALLEST_KEY[Dtype.BF16] - 1
FLUSH_F32 = SMALLEST_KEY[Dtype.F32] - 1
"""Less one, as in `bits.flush`: 0 wraps round to the largest integer and is never flushed."""

CACHE_LINE = 64
PREFETCHED_LINES = 8
"""Of each head of the next run: a processor finds the rest by itself, once it has seen that the
head goes on. Head by head, since all of a run at once is more than it can keep asking for."""

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


@inline
def _half(widen, narrow, source, into, cos, sin):
    half = len(cos)
    for t in range(source.shape[0]):
        for i in range(half):
            a, b = widen(source[t, i]), widen(source[t, i + half])
            into[t, i] = narrow(a * cos[i] - b * sin[i])
            into[t, i + half] = narrow(b * cos[i] + a * sin[i])


@inline
def _interleaved(widen, narrow, source, into, cos, sin):
    for t in range(source.shape[0]):
        for i in range(len(cos)):
            a, b = widen(source[t, 2 * i]), widen(source[t, 2 * i + 1])
            into[t, 2 * i] = narrow(a * cos[i] - b * sin[i])
            into[t, 2 * i + 1] = narrow(b * cos[i] + a * sin[i])


@intrinsic
def _at(_, address, like):
    """Return the pointer to elements, of the type of ``like``, at an address."""
    signature = types.CPointer(like)(address, like)

    def generate(context, builder, signature, arguments):
        pointer = context.get_value_type(signature.return_type)
        return builder.inttoptr(arguments[0], pointer)

    return signature, generate


@intrinsic
def _prefetch_line(_, address):
    """Ask for the cache line at an address; one that cannot be read is harmless."""

    def generate(context, builder, _, arguments):
        pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        hint = ir.FunctionType(ir.VoidType(), [pointer, number, number, number])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [pointer], hint)
        read, most_local, data = number(0), number(3), number(1)
        line = builder.inttoptr(arguments[0], pointer)
        builder.call(prefetch, [line, read, most_local, data])
        return context.get_dummy_value()

    return types.void(address), generate


@inline
def _prefetch(addresses, strides, run, head):
    """Ask for the first rows of a run's head: small runs lie in many places, each slow to find."""
    if run < len(addresses):
        address = addresses[run] + uint64(head * strides[run])
        for line in range(PREFETCHED_LINES):
            _prefetch_line(address + uint64(line * CACHE_LINE))


@inline
def _copy(source, target, first, stop):
    """Copy the elements ``first`` to ``stop`` of every row."""
    for t in range(source.shape[0]):
        for d in range(first, stop):
            target[t, d] = source[t, d]


@inline
def _write(turn, widen, narrow, zero, section, into, heads, rows):
    """Write the rows of every run of a part of a section, head by head."""
    addresses, strides, bounds, table_rows, cos, sin, still, dim, row_bytes = section
    address, stride = into
    rotary_dim = 2 * cos.shape[1]
    for run in range(rows[2], len(addresses)):
        start, stop = max(bounds[run], rows[0]), min(bounds[run + 1], rows[1])
        if start >= stop:
            break
        shape = (stop - start, dim)
        skipped, written = (start - bounds[run]) * row_bytes, (start - rows[0]) * row_bytes
        row = table_rows[run]
        for head in range(heads[0], heads[1]):
            _prefetch(addresses, strides, run + 1, head)
            there = addresses[run] + uint64(head * strides[run] + skipped)
            here = address + uint64((head - heads[0]) * stride + written)
            if row < 0:
                whole = (1, shape[0] * dim)
                _copy(carray(_at(there, zero), whole), carray(_at(here, zero), whole), 0, whole[1])
                continue
            source, target = carray(_at(there, zero), shape), carray(_at(here, zero), shape)
            turn(widen, narrow, source, target, cos[row], sin[row])
            _copy(source, target, rotary_dim, dim)
            for d in still:
                _copy(source, target, d, d + 1)


# One function for each dtype and style, at module level: numba's cache on disk tells closures apart
# by what they close over, and would compile them anew in every process.


def _half_bf16(section, into, heads, rows):
    _write(_half, _widen_bf16, _narrow_bf16, uint16(0), section, into, heads, rows)


def _half_f16(section, into, heads, rows):
    _write(_half, _widen_f16, _narrow_f16, uint16(0), section, into, heads, rows)


def _half_f32(section, into, heads, rows):
    _write(_half, _widen_f32, _narrow_f32, uint32(0), section, into, heads, rows)


def _interleaved_bf16(section, into, heads, rows):
    _write(_interleaved, _widen_bf16, _narrow_bf16, uint16(0), section, into, heads, rows)


def _interleaved_f16(section, into, heads, rows):
    _write(_interleaved, _widen_f16, _narrow_f16, uint16(0), section, into, heads, rows)


def _interleaved_f32(section, into, heads, rows):
    _write(_interleaved, _widen_f32, _narrow_f32, uint32(0), section, into, heads, rows)


LOOPS = {
    (Dtype.BF16, RopeStyle.HALF): _half_bf16,
    (Dtype.F16, RopeStyle.HALF): _half_f16,
    (Dtype.F32, RopeStyle.HALF): _half_f32,
    (Dtype.BF16, RopeStyle.INTERLEAVED): _interleaved_bf16,
    (Dtype.F16, RopeStyle.INTERLEAVED): _interleaved_f16,
    (Dtype.F32, RopeStyle.INTERLEAVED): _interleaved_f32,
}
