"""splitmix64: test inputs as integers, the same on every machine and in every language.

Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014. Random
numbers of torch or numpy are not used for vectors: their streams may change with a release.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from latentcrdt.core.geometry import Dtype

GOLDEN_GAMMA = 0x9E3779B97F4A7C15


def splitmix64(seed: int, count: int) -> NDArray[np.uint64]:
    """Return the first ``count`` outputs of splitmix64 seeded with ``seed`` (mod 2^64)."""
    steps = np.arange(1, count + 1, dtype=np.uint64)
    z = np.uint64(seed % 2**64) + steps * np.uint64(GOLDEN_GAMMA)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def float_bits(seed: int, count: int, dtype: Dtype) -> bytes:
    """Return ``count`` finite little-endian values with magnitudes in [2^-8, 2^4) and both signs.

    From each 64-bit output: the top bit is the sign, the next 32 mod 12 the exponent, and the low
    bits the mantissa.
    """
    z = splitmix64(seed, count)
    mantissa_bits, bias = {Dtype.BF16: (7, 127), Dtype.F16: (10, 15), Dtype.F32: (23, 127)}[dtype]
    width = 8 * dtype.itemsize
    sign = (z >> np.uint64(63)) << np.uint64(width - 1)
    exponent = (z >> np.uint64(31)) % np.uint64(12) + np.uint64(bias - 8)
    mantissa = z & np.uint64(2**mantissa_bits - 1)
    bits = sign | (exponent << np.uint64(mantissa_bits)) | mantissa
    data: bytes = bits.astype(f"<u{dtype.itemsize}").tobytes()
    return data
