"""Real numbers by integer arithmetic, rounded correctly (RENDER_SPEC sections 2 and 5).

No libm: glibc, musl and numpy differ in up to 36 % of results for pow and 3 % for cos. A real is
a function from a number of fractional bits to an integer, at most ``ERROR_UNITS`` units in the last
place from the truth; rounding asks for more bits until the whole interval rounds alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import TypeAlias

Real: TypeAlias = Callable[[int], int]
"""``real(bits)`` is within ``ERROR_UNITS`` of ``x * 2**bits``."""

ERROR_UNITS = 1 << 16
"""Bound on the error of every real below. The true errors are about one unit."""

GUARD_BITS = 32
"""Extra bits carried inside an evaluation, so that its errors stay far below ``ERROR_UNITS``."""


def round_significant(real: Real, precision: int, *, zero_below: int | None = None) -> float:
    """Return ``real`` rounded to nearest at ``precision`` significant bits, unbounded exponent.

    Magnitudes whose rounded value is below ``2**zero_below`` become 0. Terminates for every real
    that is not the exact midpoint of two neighbours; see the callers for why theirs are not.
    """
    bits = precision + 64
    while True:
        value = real(bits)
        low, high = value - ERROR_UNITS, value + ERROR_UNITS
        if zero_below is not None and max(abs(low), abs(high)) < 1 << (bits + zero_below - 1):
            return 0.0
        if low > 0 or high < 0:
            rounded = _round_half_up(low, precision)
            if rounded == _round_half_up(high, precision):
                result = math.ldexp(rounded[0], rounded[1] - bits)
                tiny = zero_below is not None and abs(result) < math.ldexp(1, zero_below)
                return 0.0 if tiny else result
        bits *= 2


def floor(real: Real) -> int:
    """Return the largest integer not above a real that is not an integer itself."""
    bits = 64
    while True:
        value = real(bits)
        below, above = (value - ERROR_UNITS) >> bits, (value + ERROR_UNITS) >> bits
        if below == above:
            return below
        bits *= 2


def cosine_and_sine(angle: Fraction) -> tuple[Real, Real]:
    """Return cos and sin of a dyadic rational angle in radians.

    Neither is ever a midpoint: cos and sin of a nonzero algebraic number are transcendental.
    """

    @cache
    def both(bits: int) -> tuple[int, int]:
        width = max(bits + GUARD_BITS, angle.denominator.bit_length())
        exact = angle.numerator * ((1 << width) // angle.denominator)
        # The multiple of pi/2 is subtracted with as many more bits as it has itself.
        extra = max(0, abs(exact).bit_length() - width) + 2
        half_pi = pi(width + extra) >> 1
        quadrant, remainder = divmod(exact << extra, half_pi)
        cos, sin = _taylor(remainder >> extra, width)
        for _ in range(quadrant % 4):
            cos, sin = -sin, cos
        return cos >> (width - bits), sin >> (width - bits)

    return (lambda bits: both(bits)[0]), (lambda bits: both(bits)[1])


def power(base: Fraction, exponent: Fraction) -> Real:
    """Return ``base ** exponent`` for a positive base.

    A binary32 base has no result of exactly 25 bits, a midpoint (its powers would need more
    more bits than the base has), so rounding to binary32 terminates.
    """

    def real(bits: int) -> int:
        width = bits + 2 * GUARD_BITS + 160  # 160: exp magnifies an error by the result itself
        y = log(base)(width) * exponent.numerator // exponent.denominator
        ln2 = log(Fraction(2))(width)
        scale, rest = divmod(y, ln2)
        total = term = 1 << width
        n = 0
        while term:
            n += 1
            term = (term * rest >> width) // n
            total += term
        shift = width - bits - scale
        return total >> shift if shift >= 0 else total << -shift

    return real


def log(x: Fraction) -> Real:
    """Return the natural logarithm of a positive rational."""

    def real(bits: int) -> int:
        width = bits + GUARD_BITS
        twos = x.numerator.bit_length() - x.denominator.bit_length()
        mantissa = x / Fraction(2) ** twos  # in (1/2, 2)
        ratio = (mantissa - 1) / (mantissa + 1)
        total = _atanh(ratio, width) + (twos * _atanh(Fraction(1, 3), width) if twos else 0)
        return total >> (GUARD_BITS - 1)  # ln m = 2 atanh((m-1)/(m+1)), and ln 2 = 2 atanh(1/3)

    return real


def log_two_pi(bits: int) -> int:
    """Return ln(2 pi)."""
    width = bits + GUARD_BITS
    return log(Fraction(2 * pi(width), 1 << width))(bits)


@cache
def pi(bits: int) -> int:
    """Return pi (Machin: 16 atan(1/5) - 4 atan(1/239))."""
    width = bits + GUARD_BITS
    return (16 * _arctan_inverse(5, width) - 4 * _arctan_inverse(239, width)) >> GUARD_BITS


def _arctan_inverse(x: int, width: int) -> int:
    total = power = (1 << width) // x
    n, sign = 1, 1
    while power:
        power //= x * x
        n, sign = n + 2, -sign
        total += sign * (power // n)
    return total


def _atanh(x: Fraction, width: int) -> int:
    fixed = (x.numerator << width) // x.denominator
    square = fixed * fixed >> width
    total = power = fixed
    n = 1
    while power not in (0, -1):
        power = power * square >> width
        n += 2
        total += power // n
    return total


def _taylor(x: int, width: int) -> tuple[int, int]:
    """Return cos and sin of a fixed-point x in [0, pi/2]."""
    sums = [1 << width, 0]
    term = 1 << width
    n = 0
    while term:
        n += 1
        term = (term * x >> width) // n
        sums[n & 1] += -term if n & 2 else term
    return sums[0], sums[1]


def _round_half_up(value: int, precision: int) -> tuple[int, int]:
    """Return (mantissa, exponent) of a nonzero integer rounded to ``precision`` bits."""
    sign = -1 if value < 0 else 1
    value = abs(value)
    drop = value.bit_length() - precision
    if drop <= 0:
        return sign * value << -drop, drop
    value = (value + (1 << (drop - 1))) >> drop
    if value.bit_length() > precision:  # all ones were rounded up to the next power of two
        value, drop = value >> 1, drop + 1
    return sign * value, drop
