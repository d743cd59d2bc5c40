"""Operators: two vectors, or several, to one that lies between them.

They work on arrays of any rank, of numpy or torch; ``axes`` names the axes that make up one vector,
and a weight is a number or an array that broadcasts against one number a vector. KV blending,
hidden-state merging and weight merging use the same functions (FACTS sections 6 and 7).

Laws: weight 0 returns ``a`` and weight 1 returns ``b``, to the bit, NaN included; where the two are
equal, every weight returns them; and nothing depends on the machine where the array's own sums,
products, divisions and square roots do not (numpy's binary64).
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from array_api_compat import array_namespace

from latentcrdt.errors import InvalidRequestError
from latentcrdt.merging.sums import Array, Axes, cosine, dot, fold, norm
from latentcrdt.merging.trigonometry import angle_between, sin

PARALLEL_SINE = 1e-6
"""Below this sine of their angle two vectors have no plane to turn in: slerp becomes lerp."""


class Magnitude(StrEnum):
    """How long the result of a slerp is."""

    LINEAR = "linear"
    """The lengths are interpolated."""
    RMS = "rms"
    """The squared lengths are: the root mean square of the elements is preserved."""


def lerp(a: Array, b: Array, weight: Array | float) -> Array:
    """Return (1 - w) a + w b: the result lies between the two, element by element."""
    xp = array_namespace(a, b)
    mixed = (1 - weight) * a + weight * b
    # Rounding may leave the interval by a unit, and 0 * inf is NaN: both are put right.
    low, high = xp.minimum(a, b), xp.maximum(a, b)
    mixed = xp.where(mixed < low, low, xp.where(mixed > high, high, mixed))
    return _exact_ends(a, b, weight, xp.where(a == b, a, mixed))


def slerp(
    a: Array,
    b: Array,
    weight: Array | float,
    axes: Axes = -1,
    *,
    magnitude: Magnitude = Magnitude.LINEAR,
) -> Array:
    """Return ``a`` turned towards ``b`` by the fraction ``weight`` of their angle.

    Where the vectors are parallel within `PARALLEL_SINE`, opposite to each other, or zero, there is
    no one plane in which to turn: there it is `lerp`.
    """
    xp = array_namespace(a, b)
    norm_a, norm_b = norm(a, axes), norm(b, axes)
    one = xp.ones_like(norm_a)
    unit_a = a / xp.where(norm_a > 0, norm_a, one)
    unit_b = b / xp.where(norm_b > 0, norm_b, one)
    angle = angle_between(norm(unit_a - unit_b, axes), norm(unit_a + unit_b, axes))
    sine = sin(angle)
    turns = (sine > PARALLEL_SINE) & (norm_a > 0) & (norm_b > 0)
    divisor = xp.where(turns, sine, one)
    direction = (
        sin((1 - weight) * angle) / divisor * unit_a + sin(weight * angle) / divisor * unit_b
    )
    if magnitude is Magnitude.LINEAR:
        length = (1 - weight) * norm_a + weight * norm_b
    else:
        length = xp.sqrt((1 - weight) * norm_a * norm_a + weight * norm_b * norm_b)
    turned = xp.where(turns, length * direction, lerp(a, b, weight))
    return _exact_ends(a, b, weight, turned)


def regmean(a: Array, b: Array, weight: Array | float, ridge: float) -> Array:
    """Return the proximal mean: argmin over m of (1-w)|m-a|^2 + w|m-b|^2 + ridge |m|^2.

    Its closed form is lerp / (1 + ridge); with a ridge, no weight returns an input.
    """
    if ridge < 0:
        raise InvalidRequestError(f"ridge: expected at least 0, got {ridge}")
    mixed = lerp(a, b, weight)
    return mixed if ridge == 0 else mixed / (1 + ridge)


def mean(vectors: Sequence[Array]) -> Array:
    """Return the mean of several arrays, summed in the order given by the fold."""
    xp = array_namespace(*vectors)
    first = vectors[0]
    stacked = xp.stack(list(vectors))
    averaged = fold(stacked, 0)[0] / len(vectors)
    equal = xp.all(stacked == first[None], axis=0)
    return xp.where(equal, first, averaged)


def longest(vectors: Sequence[Array], axes: Axes = -1) -> Array:
    """Return, vector by vector, the one with the greatest norm; the first of equals."""
    xp = array_namespace(*vectors)
    chosen, length = vectors[0], norm(vectors[0], axes)
    for other in vectors[1:]:
        other_length = norm(other, axes)
        longer = other_length > length
        chosen = xp.where(longer, other, chosen)
        length = xp.where(longer, other_length, length)
    return chosen


def share_of_norm(a: Array, b: Array, axes: Axes = -1) -> Array:
    """Return |b| / (|a| + |b|) of each vector, a weight that favours the longer; 0.5 of zeros."""
    xp = array_namespace(a, b)
    norm_b = norm(b, axes)
    total = norm(a, axes) + norm_b
    zero = total == 0
    half = xp.full_like(total, 0.5)
    return xp.where(zero, half, norm_b / xp.where(zero, xp.ones_like(total), total))


def inject_orthogonal(a: Array, b: Array, weight: Array | float, axes: Axes = -1) -> Array:
    """Return a + w (b - proj_a b): what of ``b`` is new to ``a``; w b where ``a`` is zero."""
    xp = array_namespace(a, b)
    square = dot(a, a, axes)
    zero = square == 0
    along = dot(a, b, axes) / xp.where(zero, xp.ones_like(square), square)
    injected = a + weight * (b - xp.where(zero, xp.zeros_like(along), along) * a)
    return xp.where(_as_array(weight, a) == 0, a, injected)


def gate(a: Array, b: Array, merged: Array, threshold: float, axes: Axes = -1) -> Array:
    """Return ``merged`` where cos(a, b) exceeds the threshold, and ``a`` elsewhere."""
    xp = array_namespace(a, b)
    return xp.where(cosine(a, b, axes) > threshold, merged, a)


def _exact_ends(a: Array, b: Array, weight: Array | float, mixed: Array) -> Array:
    xp = array_namespace(a, b)
    weight = _as_array(weight, a)
    return xp.where(weight == 0, a, xp.where(weight == 1, b, mixed))


def _as_array(weight: Array | float, like: Array) -> Array:
    if isinstance(weight, float | int):
        return array_namespace(like).full_like(like[..., :1], weight)
    return weight
