"""Sort keys whose square root lies closer to the middle of two floats than any shortcut sees.

IEEE's root is correctly rounded; roots made from an approximation and a step of Newton's, as vector
libraries have them, are not always. They err where the true root is next to a midpoint, and which
side of it depends on the code that a library chooses for a processor. Hence one value on each side:

    sqrt(1 + 2^-52) =  1 +  2^-53         - 2^-107 + ...  rounds to 1
    sqrt(1 + 2^-25) = (1 +  2^-26 - 2^-53) + 2^-79 - ...  rounds to 1 + 2^-26

Norms of ordinary keys rarely come this near, and the mean hides most of what is left.
"""

from __future__ import annotations

import numpy as np

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.geometry import Dtype, Geometry, LayerSpec
from latentcrdt.render.bits import narrow
from latentcrdt.render.sort_key import sort_key

ROWS = {"below": (4.0, 2.0**-24), "above": (4.0, 2.0**-11, 2.0**-11)}
"""Key vectors with norm 4 sqrt(1 + 2^-52) and 4 sqrt(1 + 2^-25): every dtype has these values."""

KEYS = {"below": 4.0, "above": 4 + 2.0**-24}

NUM_ROWS, DIM = 64, 16
"""Enough equal rows for vector code; their mean is the norm itself."""


def expected() -> dict[str, str]:
    """Return the sort keys by the arithmetic above."""
    return {f"{dtype}/{side}": key.hex() for dtype in Dtype for side, key in KEYS.items()}


def compute() -> dict[str, str]:
    """Return the sort keys that the renderer finds."""
    return {
        f"{dtype}/{side}": sort_key(_fragment(row, dtype)).hex()
        for dtype in Dtype
        for side, row in ROWS.items()
    }


def _fragment(row: tuple[float, ...], dtype: Dtype) -> Fragment:
    wide = np.float64 if dtype is Dtype.F32 else np.float32
    keys = np.zeros((NUM_ROWS, DIM), dtype=wide)
    keys[:, : len(row)] = row
    geometry = Geometry("roots@v1", dtype, (), (LayerSpec(1, DIM, DIM, None),))
    section = narrow(keys, dtype).tobytes()
    return Fragment.build(geometry, [(section, section)], start=0, seq_len=NUM_ROWS)
