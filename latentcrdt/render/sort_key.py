"""The sort key of a fragment, and the check that its keys can be sorted and rotated.

RENDER_SPEC sections 1 and 3. The fold adds in one fixed order, so no vector width, thread count or
library version can change a bit; numpy's + and * and sqrt on binary64 are correctly rounded.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from latentcrdt.core.encoding import Buffer
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.geometry import Dtype, Geometry
from latentcrdt.errors import NonFiniteKeysError
from latentcrdt.render.bits import LARGEST_KEY, as_bits, flush, magnitude_mask, widen
from latentcrdt.render.scratch_memory import scratch_memory

CHUNK_ELEMENTS = 1 << 18
"""Elements handled at a time: 2 MiB of binary64, which stays in a core's cache."""


def check_keys(fragment: Fragment) -> None:
    """Raise NonFiniteKeysError, naming the layer, unless all of K is finite (f16: at most 2^15)."""
    dtype = fragment.header.geometry.dtype
    limit, mask = LARGEST_KEY[dtype], magnitude_mask(dtype)
    for layer in range(len(fragment.header.geometry.layers)):
        for bits in _chunks(as_bits(fragment.keys(layer), dtype), CHUNK_ELEMENTS):
            if int((bits & mask).max()) > limit:
                bound = "at most 2^15 in magnitude" if dtype is Dtype.F16 else "finite"
                raise NonFiniteKeysError(
                    f"fragment {fragment.fragment_id}, layer {layer}: expected every key to be "
                    f"{bound}, got NaN, infinity or more",
                    id=str(fragment.fragment_id),
                    layer=layer,
                )


def sort_key(fragment: Fragment) -> float:
    """Return the key by which a fragment is sorted (RENDER_SPEC section 3)."""
    geometry = fragment.header.geometry
    return mean_norm(geometry, fragment.keys(geometry.key_layer))


def mean_norm(geometry: Geometry, keys: Buffer) -> float:
    """Return the mean norm, in binary64, of the K ``[H, T, D]`` of the geometry's ``key_layer``."""
    dim, dtype = geometry.layers[geometry.key_layer].key_dim, geometry.dtype
    bits = as_bits(keys, dtype).reshape(-1, dim)  # [H * T_m, D], h-major
    norms = scratch_memory(8 * len(bits)).view(np.float64)
    done = 0
    for rows in _chunks(bits, max(1, CHUNK_ELEMENTS // dim)):
        wide = widen(flush(rows, dtype), dtype).astype(np.float64)
        # [D, rows]: each fold step then adds long contiguous runs.
        squares = np.ascontiguousarray((wide * wide).T)
        norms[done : done + len(rows)] = np.sqrt(fold(squares))
        done += len(rows)
    return float(fold(norms) / np.float64(len(norms)))


def fold(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over the first axis in the specified order; ``values`` is overwritten.

    Pads with +0 to a power of two p, then v[i] += v[i + p/2] while p > 1. Adding the padding's +0
    changes no value here (all are >= +0), so only the pairs that exist are added.
    """
    count = len(values)
    while count > 1:
        half = 1 << ((count - 1).bit_length() - 1)
        # In chunks, so that a mapped array is not doubled in memory by a temporary.
        for start in range(0, count - half, CHUNK_ELEMENTS):
            stop = min(start + CHUNK_ELEMENTS, count - half)
            values[start:stop] += values[half + start : half + stop]
        count = half
    folded: NDArray[np.float64] = values[0]
    return folded


def _chunks(
    array: NDArray[np.unsignedinteger], length: int
) -> Iterator[NDArray[np.unsignedinteger]]:
    for start in range(0, len(array), length):
        yield array[start : start + length]
