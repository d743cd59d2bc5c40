from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from latentcrdt.core.geometry import Dtype, RopeDescriptor, RopeStyle
from latentcrdt.render import reals
from latentcrdt.render.tables import rotation_table
from tests.render import oracle

BITS = 120
finite_inv_freq = st.floats(0, 4, width=32, exclude_min=True)
deltas = st.integers(-(2**31) + 1, 2**31 - 1).filter(bool)


def truth(function, *args):
    with mpmath.workprec(600):
        value = function(*(mpmath.mpf(a.numerator) / a.denominator for a in args))
        return value * mpmath.mpf(2) ** BITS


@given(deltas, finite_inv_freq)
@example(2**31 - 1, 1.0)
@example(1, float(np.float32(1e-45)))
@example(710, 0.5)  # 355 radians: 3e-5 from a multiple of pi
def test_cos_and_sin_are_within_a_few_units(delta, frequency):
    angle = delta * Fraction(frequency)
    cos, sin = reals.cosine_and_sine(angle)
    assert abs(cos(BITS) - truth(mpmath.cos, angle)) < 4
    assert abs(sin(BITS) - truth(mpmath.sin, angle)) < 4


@given(st.floats(2, 2**24, width=32), st.floats(0, 1, width=32))
def test_powers_are_within_a_few_units(base, exponent):
    base, exponent = Fraction(base), Fraction(exponent)
    assert abs(reals.power(base, exponent)(BITS) - truth(mpmath.power, base, exponent)) < 4


@given(st.fractions(min_value=Fraction(1, 10**6), max_value=10**9))
def test_logarithms_are_within_a_few_units(x):
    assert abs(reals.log(x)(BITS) - truth(mpmath.log, x)) < 4


@given(st.integers(1, 2**70), st.integers(1, 2**70))
def test_rounding_is_to_nearest_at_the_precision_asked(numerator, denominator):
    exact = Fraction(numerator, denominator)

    def real(bits):
        return (numerator << bits) // denominator

    doubled = exact
    while doubled.denominator % 2 == 0:
        doubled *= 2
    if doubled.denominator == 1:
        return  # a dyadic rational may be a midpoint, which no caller has
    assert reals.round_significant(real, 24) == oracle.round_to(exact, 24, -(10**6))


def test_rounding_up_to_a_power_of_two_keeps_the_value():
    assert reals.round_significant(lambda bits: (1 << bits) - 1, 16) == 1.0


@given(deltas, finite_inv_freq, st.sampled_from(list(Dtype)))
@settings(max_examples=200)
@example(710, 0.5, Dtype.BF16)
@example(-1, 2.0**-41, Dtype.BF16)
@example(1, 2.0**-40, Dtype.F32)
@example(1, float(np.nextafter(np.float32(2.0**-40), np.float32(0))), Dtype.F16)
def test_a_table_entry_is_the_exact_value_correctly_rounded(delta, frequency, dtype):
    rope = RopeDescriptor(RopeStyle.HALF, 2, np.float32(frequency).astype("<f4").tobytes())
    table = rotation_table(rope, delta, dtype)
    cos, sin = oracle.table(delta, frequency, oracle.TABLE_BITS[str(dtype)])
    assert (Fraction(table.cos[0]), Fraction(table.sin[0])) == (cos, sin)


@given(deltas, st.sampled_from(list(Dtype)))
def test_a_table_entry_has_no_more_bits_than_make_products_exact(delta, dtype):
    rope = RopeDescriptor(RopeStyle.HALF, 4, np.array([1, 0.01], "<f4").tobytes())
    table = rotation_table(rope, delta, dtype)
    for value in (*table.cos, *table.sin):
        odd = Fraction(value).numerator
        while odd and odd % 2 == 0:
            odd //= 2
        assert odd.bit_length() <= {Dtype.BF16: 16, Dtype.F16: 13, Dtype.F32: 24}[dtype]


@pytest.mark.parametrize("bits", [10, 64, 1000])
def test_pi_is_right(bits):
    with mpmath.workprec(bits + 64):
        assert abs(reals.pi(bits) - mpmath.pi * mpmath.mpf(2) ** bits) < 2
