"""Rotated rows as wide as a model's: long enough for the vector body of every engine's loops.

The golden vectors have 8 pairs, which a loop over 16 lanes handles in its remainder. Remainders are
other code: torch for SVE fuses there and not in the body. 24 pairs have both, 64 are a usual head.
"""

from __future__ import annotations

import numpy as np

from latentcrdt.core.encoding import digest
from latentcrdt.core.geometry import Dtype, RopeDescriptor, RopeStyle
from latentcrdt.render.bits import UNSIGNED
from latentcrdt.render.engine import Engine
from latentcrdt.render.inv_freq import rope_descriptor
from latentcrdt.render.splitmix import float_bits
from latentcrdt.render.tables import rotation_table

PAIRS = (24, 64)
NUM_HEADS, NUM_ROWS = 2, 500
"""So many that a fused product shows in bf16, if tables have 24 bits: 1 in 50,000 does."""
DELTA = 4096
ROPE = {"rope_type": "default", "rope_theta": 10000.0}


def compute(engine: Engine) -> dict[str, str]:
    """Return the digest of the rotated rows for every dtype, style and width."""
    return {
        f"{dtype}/{style}/{pairs}": _rotate(engine, dtype, style, pairs)
        for dtype in Dtype
        for style in RopeStyle
        for pairs in PAIRS
    }


def _rotate(engine: Engine, dtype: Dtype, style: RopeStyle, pairs: int) -> str:
    bits = float_bits(pairs, NUM_HEADS * NUM_ROWS * 2 * pairs, dtype)
    keys = np.frombuffer(bits, UNSIGNED[dtype]).reshape(NUM_HEADS, NUM_ROWS, 2 * pairs)
    into = np.zeros_like(keys)
    engine.rotate(keys, into, dtype, rotation_table(_rope(style, pairs), DELTA, dtype))
    return digest(into.astype(UNSIGNED[dtype]).tobytes()).hex()


def _rope(style: RopeStyle, pairs: int) -> RopeDescriptor:
    return rope_descriptor(ROPE, head_dim=2 * pairs, style=style, max_position_embeddings=16384)
