"""RENDER_SPEC.md once more, from the text alone: Python integers, Fractions and mpmath.

Shares no code with latentcrdt.render. Slow; every formula stands as the specification has it.
"""

from __future__ import annotations

import math
import struct
from fractions import Fraction

import mpmath

TABLE_BITS = {"bf16": 16, "f16": 13, "f32": 24}
PRECISION = {"bf16": (8, -126), "f16": (11, -14), "f32": (24, -126)}
WIDE = {"bf16": (24, -126), "f16": (24, -126), "f32": (53, -1022)}
TINY = Fraction(1, 2**40)


def elements(data, dtype):
    """The values of a section, as Python floats (exact; the sign of zero is kept)."""
    data = bytes(data)
    if dtype == "bf16":
        data = b"".join(b"\0\0" + data[i : i + 2] for i in range(0, len(data), 2))
    code = "e" if dtype == "f16" else "f"
    return list(struct.unpack(f"<{len(data) // struct.calcsize(code)}{code}", data))


def spell(value, dtype):
    """The bytes of one value that the dtype holds exactly."""
    if dtype == "bf16":
        return struct.pack("<f", value)[2:]
    return struct.pack("<e" if dtype == "f16" else "<f", value)


def round_to(x, precision, smallest_exponent):
    """Round an exact Fraction to nearest, ties to even, with gradual underflow."""
    if x == 0:
        return x
    exponent = max(math.floor(mpmath.log(abs(mpmath.mpf(x.numerator) / x.denominator), 2)), -9999)
    while abs(x) >= Fraction(2) ** (exponent + 1):
        exponent += 1
    while abs(x) < Fraction(2) ** exponent:
        exponent -= 1
    ulp = Fraction(2) ** (max(exponent, smallest_exponent) - precision + 1)
    return round(x / ulp) * ulp  # Python rounds halves of Fractions to even


def flush(x):
    return 0.0 if 0 < abs(x) < TINY else x


def table(delta, frequency, precision):
    angle = delta * Fraction(frequency)
    with mpmath.workprec(400):
        exact = mpmath.mpf(angle.numerator) / angle.denominator
        pair = [mpmath.cos(exact), mpmath.sin(exact)]
    rounded = []
    for value in pair:
        sign, mantissa, exponent, _ = value._mpf_
        x = Fraction(mantissa) * Fraction(2) ** exponent * (-1) ** sign
        x = round_to(x, precision, -(10**6))
        rounded.append(Fraction(0) if abs(x) < TINY else x)
    return rounded


def combine(x, y, dtype, sign):
    """x + sign * y for exact products, in the wide type and then the dtype; zeros as IEEE has it.

    x and y are (Fraction, float whose sign counts when the Fraction is 0).
    """
    total = x[0] + sign * y[0]
    if total == 0:
        zero = x[1] + sign * y[1] if x[0] == 0 and y[0] == 0 else 0.0
        return math.copysign(0.0, zero)
    wide = round_to(total, *WIDE[dtype])
    narrow = round_to(wide, *PRECISION[dtype])
    return math.copysign(float(narrow), float(wide))


def product(a, c):
    signed_zero = math.copysign(0.0, a) if c >= 0 else -math.copysign(0.0, a)
    exact = Fraction(a) * c
    return (exact, signed_zero if exact == 0 else float(exact))


def rotate_row(row, dtype, style, frequencies, delta):
    """One head's key at one token, rotated; values in, values out."""
    out = list(row)
    half = len(frequencies)
    for i, frequency in enumerate(frequencies):
        if frequency == 0 or delta == 0:
            continue
        first, second = (i, i + half) if style == "half" else (2 * i, 2 * i + 1)
        c, s = table(delta, frequency, TABLE_BITS[dtype])
        a, b = flush(row[first]), flush(row[second])
        out[first] = combine(product(a, c), product(b, s), dtype, -1)
        out[second] = combine(product(b, c), product(a, s), dtype, +1)
    return out


def rotate_section(data, dtype, dim, style, frequencies, delta):  # noqa: PLR0917
    values = elements(data, dtype)
    size = len(spell(0.0, dtype))
    out = bytearray(data)
    turning = [
        d
        for i, f in enumerate(frequencies)
        if f and delta
        for d in ((i, i + len(frequencies)) if style == "half" else (2 * i, 2 * i + 1))
    ]
    for start in range(0, len(values), dim):
        row = rotate_row(values[start : start + dim], dtype, style, frequencies, delta)
        for d in turning:  # everything else is copied verbatim
            at = (start + d) * size
            out[at : at + size] = spell(row[d], dtype)
    return bytes(out)


def fold(values):
    p = 1
    while p < len(values):
        p *= 2
    values = list(values) + [0.0] * (p - len(values))
    while p > 1:
        p //= 2
        values = [values[i] + values[i + p] for i in range(p)]
    return values[0]


def sort_key(data, dtype, dim):
    values = [flush(v) for v in elements(data, dtype)]
    rows = [values[i : i + dim] for i in range(0, len(values), dim)]
    norms = [math.sqrt(fold([x * x for x in row])) for row in rows]
    return fold(norms) / len(norms)


def render_body(fragments, *, start=0):
    """Sequential layout of Fragments in the order given, no prefix: every byte of the body."""
    geometry = fragments[0].header.geometry
    dtype = str(geometry.dtype)
    size = geometry.dtype.itemsize
    body = b""
    for layer, spec in enumerate(geometry.layers):
        rope = geometry.rope_of(layer)
        for part, dim in (("keys", spec.key_dim), ("values", spec.value_dim)):
            heads = [[] for _ in range(spec.num_kv_heads)]
            position = start
            for fragment in fragments:
                data = bytes(getattr(fragment, part)(layer))
                if part == "keys" and rope is not None:
                    delta = position - fragment.header.start
                    data = rotate_section(
                        data, dtype, dim, str(rope.style), rope.frequencies, delta
                    )
                row_bytes = dim * size
                rows = [data[i : i + row_bytes] for i in range(0, len(data), row_bytes)]
                per_head = len(rows) // spec.num_kv_heads
                for head, kept in enumerate(heads):
                    kept.extend(rows[head * per_head : (head + 1) * per_head])
                position += fragment.header.seq_len
            for kept in heads:
                last = kept if spec.window is None else kept[-(spec.window - 1) :]
                body += b"".join(last)
    return body
