"""Rope descriptors from a model's configuration (RENDER_SPEC section 2).

The float32 expressions are those of transformers' modeling_rope_utils, one rounding at a time:
numpy rounds + - * / correctly on every machine; powers and logarithms come from `reals`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentcrdt.core.geometry import RopeDescriptor, RopeStyle
from latentcrdt.errors import UnsupportedRopeError
from latentcrdt.render.reals import Real, floor, log, log_two_pi, power, round_significant

Float32s = NDArray[np.float32]

SIGNIFICANT_BITS_32 = 24
SIGNIFICANT_BITS_64 = 53


def rope_descriptor(
    parameters: Mapping[str, Any],
    *,
    head_dim: int,
    style: RopeStyle,
    max_position_embeddings: int,
) -> RopeDescriptor:
    """Return the descriptor of one ``rope_parameters`` entry of a transformers configuration.

    Raises UnsupportedRopeError, naming the type, for what no rotation can repair (dynamic,
    longrope) and for types or values that are not known.
    """
    rope_type = parameters.get("rope_type", "default")
    try:
        if rope_type == "proportional":
            inv_freq = _proportional(parameters, head_dim)
        else:
            dim = int(head_dim * (parameters.get("partial_rotary_factor") or 1.0))
            frequencies = _powers(parameters["rope_theta"], dim, dim)
            if rope_type == "default":
                inv_freq = _reciprocal(frequencies)
            elif rope_type == "linear":
                inv_freq = _reciprocal(frequencies) / np.float32(parameters["factor"])
            elif rope_type == "llama3":
                inv_freq = _llama3(_reciprocal(frequencies), parameters)
            elif rope_type == "yarn":
                inv_freq = _yarn(frequencies, parameters, dim, max_position_embeddings)
            else:
                raise UnsupportedRopeError(
                    f"rope type {rope_type!r}: expected default, linear, llama3, yarn or "
                    f"proportional; keys of other types cannot be re-rotated",
                    rope_type=str(rope_type),
                )
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise UnsupportedRopeError(
            f"rope type {rope_type!r}: expected its usual parameters, "
            f"got {dict(parameters)!r:.300} ({error!r})",
            rope_type=str(rope_type),
        ) from error
    return RopeDescriptor(style, 2 * len(inv_freq), inv_freq.astype("<f4").tobytes())


def _powers(theta: float, dim: int, divisor: int) -> Float32s:
    """Return float32 ``theta ** (arange(0, dim, 2) / divisor)``."""
    base = Fraction(float(np.float32(theta)))
    exponents = np.arange(0, dim, 2).astype(np.float32) / np.float32(divisor)
    rounded = [
        round_significant(power(base, Fraction(float(e))), SIGNIFICANT_BITS_32) for e in exponents
    ]
    return np.array(rounded, dtype=np.float32)


def _reciprocal(values: Float32s) -> Float32s:
    return np.float32(1) / values


def _proportional(parameters: Mapping[str, Any], head_dim: int) -> Float32s:
    proportion = parameters.get("partial_rotary_factor", 1.0)
    angles = int(proportion * head_dim // 2)
    turning = _reciprocal(_powers(parameters["rope_theta"], 2 * angles, head_dim))
    still = np.zeros(head_dim // 2 - angles, dtype=np.float32)
    factor = np.float32(parameters.get("factor", 1.0))
    return (np.concatenate([turning, still]) / factor).astype(np.float32)


def _llama3(inv_freq: Float32s, parameters: Mapping[str, Any]) -> Float32s:
    factor = np.float32(parameters["factor"])
    low, high = parameters["low_freq_factor"], parameters["high_freq_factor"]
    old_context = parameters["original_max_position_embeddings"]
    longest, shortest = np.float32(old_context / low), np.float32(old_context / high)
    wavelen = np.float32(2 * math.pi) / inv_freq
    scaled = np.where(wavelen > longest, inv_freq / factor, inv_freq)
    smooth = (np.float32(old_context) / wavelen - np.float32(low)) / np.float32(high - low)
    smoothed = (np.float32(1) - smooth) * scaled / factor + smooth * scaled
    medium = ~(wavelen < shortest) & ~(wavelen > longest)
    return np.where(medium, smoothed, scaled)


def _yarn(
    frequencies: Float32s, parameters: Mapping[str, Any], dim: int, max_position_embeddings: int
) -> Float32s:
    # The attention scaling of yarn is already inside K and is not applied again.
    original = parameters.get("original_max_position_embeddings") or max_position_embeddings
    factor = parameters.get("factor")
    if factor is None:
        factor = max_position_embeddings / original
    truncate = parameters.get("truncate", True)
    theta = parameters["rope_theta"]
    first = _correction_dim(parameters.get("beta_fast") or 32, dim, theta, original)
    last = _correction_dim(parameters.get("beta_slow") or 1, dim, theta, original)
    low: float = floor(first) if truncate else round_significant(first, SIGNIFICANT_BITS_64)
    high: float = floor(last) + 1 if truncate else round_significant(last, SIGNIFICANT_BITS_64)
    low, high = max(low, 0), min(high, dim - 1)
    if low == high:
        high += 0.001  # as transformers does, to keep the ramp finite
    ramp = np.arange(dim // 2, dtype=np.float32) - np.float32(low)
    ramp = np.clip(ramp / np.float32(high - low), np.float32(0), np.float32(1))
    extrapolated = _reciprocal(frequencies)
    interpolated = _reciprocal(np.float32(factor) * frequencies)
    weight = np.float32(1) - ramp
    mixed: Float32s = interpolated * (np.float32(1) - weight) + extrapolated * weight
    return mixed


def _correction_dim(rotations: float, dim: int, theta: float, max_positions: int) -> Real:
    """Return ``dim * ln(max_positions / (rotations * 2 pi)) / (2 ln theta)``; never an integer."""
    numerator = log(Fraction(max_positions) / Fraction(rotations))
    denominator = log(Fraction(theta))

    def real(bits: int) -> int:
        width = bits + 64  # dim, and the quotient, magnify errors by far less than 2^64
        top = dim * (numerator(width) - log_two_pi(width))
        return (top << bits) // (2 * denominator(width))

    return real
