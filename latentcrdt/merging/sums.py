"""Sums, norms and cosines in one fixed order, so that no library or vector width changes a bit.

The order is the fold of RENDER_SPEC section 3: pad with +0 to a power of two p; while p > 1,
v[i] = v[i] + v[i + p/2]. On numpy's binary64 every step is correctly rounded everywhere.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from array_api_compat import array_namespace

Array: TypeAlias = Any
"""An array of numpy, a tensor of torch, or of any library that follows the array API standard."""

Axes: TypeAlias = int | tuple[int, ...]
"""The axes that make up one vector, such as -1 for each row or (-2, -1) for each head."""


def fold(values: Array, axes: Axes) -> Array:
    """Return the sums over ``axes``, which stay in the shape with length 1."""
    xp = array_namespace(values)
    names = [axes] if isinstance(axes, int) else list(axes)
    names = sorted(axis % values.ndim for axis in names)
    kept = [axis for axis in range(values.ndim) if axis not in names]
    shape = [1 if axis in names else values.shape[axis] for axis in range(values.ndim)]
    lengths = [values.shape[axis] for axis in kept]
    # The folded axes come first, as one: each step then adds whole contiguous blocks.
    folded = xp.reshape(xp.permute_dims(values, (*names, *kept)), (-1, *lengths))
    while folded.shape[0] > 1:
        half = 1 << ((folded.shape[0] - 1).bit_length() - 1)
        both = folded.shape[0] - half
        folded = xp.concat([folded[:both] + folded[half:], folded[both:half]])
    return xp.reshape(folded, tuple(shape))


def dot(a: Array, b: Array, axes: Axes) -> Array:
    """Return the inner products over ``axes``."""
    return fold(a * b, axes)


def norm(a: Array, axes: Axes) -> Array:
    """Return the Euclidean norms over ``axes``."""
    return array_namespace(a).sqrt(dot(a, a, axes))


def cosine(a: Array, b: Array, axes: Axes) -> Array:
    """Return the cosines over ``axes``, within [-1, 1]; 0 where either vector is zero."""
    xp = array_namespace(a)
    lengths = norm(a, axes) * norm(b, axes)
    zero = lengths == 0
    cosines = dot(a, b, axes) / xp.where(zero, xp.ones_like(lengths), lengths)
    return xp.clip(xp.where(zero, xp.zeros_like(cosines), cosines), -1.0, 1.0)
