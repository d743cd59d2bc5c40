"""arccos and sin by additions, products, divisions and square roots alone.

Those are correctly rounded on every machine; the arccos and sin of libraries are not, and differ in
up to 3 % of their results. So an angle that decides over bytes comes from here. Taylor and
continued-product forms are short because arguments are halved first; errors stay below 1e-14.
"""

from __future__ import annotations

import math

from array_api_compat import array_namespace

from latentcrdt.merging.sums import Array

HALVINGS = 3
"""An angle in [0, pi] is halved this often before a series sees it: at most 0.4 radians."""

TERMS = 9
"""Terms of either series; the first one left out is below 1e-17 of the sum."""


def angle_between(chord: Array, cochord: Array) -> Array:
    """Return the angle in [0, pi] of two unit vectors u and v: chord = |u - v|, cochord = |u + v|.

    It is 2 atan(chord / cochord), which, unlike arccos of their product, loses no digit where the
    vectors are nearly parallel or nearly opposite.
    """
    xp = array_namespace(chord)
    # sin and cos of half the angle, but for a common factor; then halve that angle again.
    sine, cosine = chord, cochord
    for _ in range(HALVINGS):
        # tan(t / 2) = sin t / (|.| + cos t)
        cosine = xp.sqrt(sine * sine + cosine * cosine) + cosine
    tangent = sine / xp.where(cosine == 0, xp.ones_like(cosine), cosine)
    square = tangent * tangent
    series = xp.zeros_like(tangent)
    for term in range(2 * TERMS, -1, -1):
        series = (1.0 if term % 2 == 0 else -1.0) / (2 * term + 1) + square * series
    return 2.0 * (1 << HALVINGS) * (tangent * series)


def sin(angle: Array) -> Array:
    """Return the sine of angles in [0, pi]."""
    xp = array_namespace(angle)
    small = angle / (1 << HALVINGS)
    square = small * small
    sine, cosine = xp.zeros_like(small), xp.zeros_like(small)
    for term in range(TERMS, -1, -1):
        sign = 1.0 if term % 2 == 0 else -1.0
        sine = sign / math.factorial(2 * term + 1) + square * sine
        cosine = sign / math.factorial(2 * term) + square * cosine
    sine = small * sine
    for _ in range(HALVINGS):
        sine, cosine = 2.0 * sine * cosine, 1.0 - 2.0 * sine * sine
    return sine
