"""The reference engine: numpy, slow, and obviously right (RENDER_SPEC section 6)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from latentcrdt.core.geometry import Dtype, RopeDescriptor, RopeStyle
from latentcrdt.render.bits import flush, narrow, widen
from latentcrdt.render.engine import Bits
from latentcrdt.render.tables import RotationTable


class ReferenceEngine:
    """Turns every pair by the formulas of the specification, as they stand there."""

    name = "numpy"

    def rotate(self, source: Bits, into: Bits, dtype: Dtype, table: RotationTable) -> None:
        """Write the rotation of ``source`` ``[H, T, D]`` to ``into``."""
        into[...] = source  # dimensions that do not turn are copied verbatim
        first, second = pair_indices(table.rope)
        first, second = first[table.turns], second[table.turns]
        a = widen(flush(source[..., first], dtype), dtype)
        b = widen(flush(source[..., second], dtype), dtype)
        c = table.cos[table.turns].astype(a.dtype)
        s = table.sin[table.turns].astype(a.dtype)
        into[..., first] = narrow(a * c - b * s, dtype)
        into[..., second] = narrow(b * c + a * s, dtype)


def pair_indices(rope: RopeDescriptor) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the dimensions (a, b) of every rotated pair, each ``[rotary_dim / 2]``."""
    i = np.arange(rope.rotary_dim // 2)
    if rope.style is RopeStyle.HALF:
        return i, i + rope.rotary_dim // 2
    return 2 * i, 2 * i + 1
