"""Small deterministic fragments: made from integers, so the same bytes on every machine."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.geometry import Dtype, Geometry, LayerSpec, RopeDescriptor, RopeStyle
from latentcrdt.core.ids import FragmentId
from latentcrdt.render.splitmix import float_bits


def make_rope(
    rotary_dim: int = 8, style: RopeStyle = RopeStyle.HALF, theta: float = 10000.0
) -> RopeDescriptor:
    """Return a descriptor of plausible frequencies (rounded by numpy: not the canonical ones)."""
    exponents = np.arange(0, rotary_dim, 2, dtype=np.float64) / rotary_dim
    inv_freq = (1.0 / theta**exponents).astype("<f4")
    return RopeDescriptor(style, rotary_dim, inv_freq.tobytes())


def make_geometry(
    *,
    dtype: Dtype = Dtype.BF16,
    num_layers: int = 3,
    num_kv_heads: int = 2,
    head_dim: int = 8,
    rope: RopeDescriptor | None = None,
    windows: Sequence[int | None] = (),
    model_id: str = "test-model@0000",
) -> Geometry:
    """Return a geometry of equal layers; ``windows`` makes the first ones sliding."""
    rope = rope or make_rope(head_dim)
    padded = [*windows, *([None] * num_layers)][:num_layers]
    layers = tuple(LayerSpec(num_kv_heads, head_dim, head_dim, 0, window) for window in padded)
    return Geometry(model_id, dtype, (rope,), layers)


def make_fragment(
    seed: int = 0,
    *,
    geometry: Geometry | None = None,
    start: int = 0,
    seq_len: int = 5,
    prefix: FragmentId | None = None,
    token_ids: Sequence[int] | None = None,
) -> Fragment:
    """Return a fragment whose K and V are splitmix64 values of this seed."""
    geometry = geometry or make_geometry()
    sections = []
    for i, spec in enumerate(geometry.layers):
        rows = spec.num_kv_heads * spec.rows(seq_len)
        keys = float_bits(seed * 1000 + 2 * i, rows * spec.key_dim, geometry.dtype)
        values = float_bits(seed * 1000 + 2 * i + 1, rows * spec.value_dim, geometry.dtype)
        sections.append((keys, values))
    return Fragment.build(
        geometry, sections, start=start, seq_len=seq_len, prefix=prefix, token_ids=token_ids
    )
