"""Fragments of which no section was ever seen before, made fast."""

from __future__ import annotations

from functools import lru_cache

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.geometry import Geometry
from latentcrdt.render.splitmix import float_bits
from latentcrdt.testing.fragments import make_geometry

NUM_LAYERS, NUM_KV_HEADS, HEAD_DIM = 28, 8, 128
"""The shape of Qwen3-1.7B and of many models near it."""

START = 7
"""Not where a render puts it, so that every key is turned."""

DISTINCT = 1 << 20
"""Windows of the pool, and so sections, before one comes again."""


def geometry() -> Geometry:
    """Return the geometry of every fragment here: bf16, 114,688 bytes a token."""
    return make_geometry(num_layers=NUM_LAYERS, num_kv_heads=NUM_KV_HEADS, head_dim=HEAD_DIM)


def fresh_fragment(seed: int, num_bytes: int) -> Fragment:
    """Return a fragment of about ``num_bytes``.

    Each section is a window of one pool of numbers, at a place of its own: making every number anew
    would take longer than sending it.
    """
    shape = geometry()
    itemsize = shape.dtype.itemsize
    seq_len = max(1, num_bytes // (2 * NUM_LAYERS * NUM_KV_HEADS * HEAD_DIM * itemsize))
    count = NUM_KV_HEADS * seq_len * HEAD_DIM
    pool = _pool(count + DISTINCT)
    windows = []
    for section in range(2 * NUM_LAYERS):
        offset = (seed * 2 * NUM_LAYERS + section) % DISTINCT * itemsize
        windows.append(pool[offset : offset + count * itemsize])
    pairs = list(zip(windows[::2], windows[1::2], strict=True))
    return Fragment.build(shape, pairs, start=START, seq_len=seq_len)


@lru_cache(maxsize=1)
def _pool(count: int) -> memoryview:
    return memoryview(float_bits(0, count, geometry().dtype))
