"""The chunked torch engine: the reference's bits at a small multiple of the time of a copy.

Chunks stay in cache and buffers are pooled, because page faults of fresh memory cost more than the
arithmetic. ``addcmul`` may fuse or not: every product is exact, so it cannot change a bit
(RENDER_SPEC section 6).
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache

import numpy as np
import torch

from latentcrdt.core.geometry import Dtype, RopeStyle
from latentcrdt.render.bits import flush
from latentcrdt.render.tables import Bits, RotationTable

CHUNK_ELEMENTS = (1 << 15) - 1
"""Elements turned at a time: one less than torch would share out among its threads.

OpenMP threads that wait for each other at every operation lose a factor of ten on cores that have
anything else to do, as a server's always have; concurrent renders use the cores anyway.
"""

STORED = {Dtype.BF16: torch.bfloat16, Dtype.F16: torch.float16, Dtype.F32: torch.float32}
INTEGER = {Dtype.BF16: torch.int16, Dtype.F16: torch.int16, Dtype.F32: torch.int32}
COMPUTED = {Dtype.BF16: torch.float32, Dtype.F16: torch.float32, Dtype.F32: torch.float64}
"""The type in which products of keys and table entries are exact."""


class _Scratch:
    """Buffers for one chunk: the stored bits and two arrays of the computing type."""

    def __init__(self, dtype: Dtype, elements: int) -> None:
        self.elements = elements
        self.stored = torch.empty(elements, dtype=INTEGER[dtype])
        self.bits = self.stored.numpy().view(f"u{dtype.itemsize}")
        self.keys = torch.empty(elements, dtype=COMPUTED[dtype])
        self.turned = torch.empty(elements, dtype=COMPUTED[dtype])


class TorchEngine:
    """Turns chunks of rows with elementwise torch operations."""

    name = "torch"

    def __init__(self) -> None:
        # A deque's append and pop are atomic: threads share the pool without a lock.
        self._pool: dict[Dtype, deque[_Scratch]] = {dtype: deque() for dtype in Dtype}

    def rotate(self, source: Bits, into: Bits, dtype: Dtype, table: RotationTable) -> None:
        """Write the rotation of ``source`` ``[H, T, D]`` to ``into``."""
        _, num_rows, dim = source.shape
        elements = max(CHUNK_ELEMENTS, dim)
        pool = self._pool[dtype]
        try:
            scratch = pool.pop()
        except IndexError:
            scratch = _Scratch(dtype, elements)
        if scratch.elements < elements:
            scratch = _Scratch(dtype, elements)
        try:
            heads_at_once = max(1, elements // (num_rows * dim))
            rows_at_once = min(num_rows, elements // dim)
            for head in range(0, len(source), heads_at_once):
                for row in range(0, num_rows, rows_at_once):
                    chunk = (
                        slice(head, head + heads_at_once),
                        slice(row, row + rows_at_once),
                    )
                    _turn(scratch, source[chunk], into[chunk], dtype, table)
        finally:
            pool.append(scratch)


def _turn(scratch: _Scratch, source: Bits, into: Bits, dtype: Dtype, table: RotationTable) -> None:
    dim, rotary_dim = source.shape[-1], table.rope.rotary_dim
    bits = scratch.bits[: source.size].reshape(source.shape)
    np.copyto(bits, source)
    flushed = flush(bits, dtype)
    if flushed is not bits:
        np.copyto(bits, flushed)
    stored = scratch.stored[: source.size].view(-1, dim)
    keys = scratch.keys[: source.size].view(-1, dim)
    turned = scratch.turned[: source.size].view(-1, dim)[:, :rotary_dim]
    keys.copy_(stored.view(STORED[dtype]))  # widened, exactly
    cos, sin = _coefficients(table, dtype)
    if table.rope.style is RopeStyle.HALF:
        half = rotary_dim // 2
        a, b = keys[:, :half], keys[:, half:rotary_dim]
        a_turned, b_turned = turned[:, :half], turned[:, half:]
        torch.mul(keys[:, :rotary_dim], cos.repeat(2), out=turned)
    else:
        a, b = keys[:, 0:rotary_dim:2], keys[:, 1:rotary_dim:2]
        a_turned, b_turned = turned[:, 0::2], turned[:, 1::2]
        torch.mul(keys[:, :rotary_dim], cos.repeat_interleave(2), out=turned)
    a_turned.addcmul_(b, sin, value=-1)
    b_turned.addcmul_(a, sin)
    stored.view(STORED[dtype])[:, :rotary_dim].copy_(turned)  # rounded to nearest even
    np.copyto(into, bits)
    table.copy_still(source, into)


@lru_cache(maxsize=1024)
def _coefficients(table: RotationTable, dtype: Dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cos and sin ``[rotary_dim / 2]`` in the computing type, where they are exact."""
    cos, sin = torch.from_numpy(table.cos.copy()), torch.from_numpy(table.sin.copy())
    return cos.to(COMPUTED[dtype]), sin.to(COMPUTED[dtype])
