"""The chunked torch engine: elementwise operations only, on any device that torch has.

Chunks stay in cache and scratch is pooled, because page faults of fresh memory cost more than the
arithmetic. ``addcmul`` may fuse or not: every product is exact, so it cannot change a bit
(RENDER_SPEC section 6).
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from typing import Any

import numpy as np
import torch

from latentcrdt.core.geometry import Dtype, RopeStyle
from latentcrdt.render.bits import SMALLEST_KEY, UNSIGNED, magnitude_mask
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


class Scratch:
    """Memory for one chunk: its magnitudes as integers, and its keys before and after."""

    def __init__(self, dtype: Dtype, elements: int, device: torch.device | str = "cpu") -> None:
        self.elements = elements
        self.magnitudes = torch.empty(elements, dtype=INTEGER[dtype], device=device)
        self.keys = torch.empty(elements, dtype=COMPUTED[dtype], device=device)
        self.turned = torch.empty(elements, dtype=COMPUTED[dtype], device=device)


class TorchEngine:
    """Turns chunks of rows, several heads at a time where they are short."""

    name = "torch"

    def __init__(self) -> None:
        # A deque's append and pop are atomic: threads share the pool without a lock.
        self._pool: dict[Dtype, deque[Scratch]] = {dtype: deque() for dtype in Dtype}

    def rotate(self, source: Bits, into: Bits, dtype: Dtype, table: RotationTable) -> None:
        """Write the rotation of ``source`` ``[H, T, D]`` to ``into``."""
        assert into.flags.aligned, "a copy would be turned, and lost"
        _, num_rows, dim = source.shape
        keys, turned = _integers(source, dtype), _integers(into, dtype)
        elements = max(CHUNK_ELEMENTS, dim)
        heads_at_once = max(1, elements // (num_rows * dim))
        num_chunks = -(-num_rows // (elements // dim))
        rows_at_once = -(-num_rows // num_chunks)  # even chunks: a short last one costs as much
        scratch = self._take(dtype, elements)
        for head in range(0, len(source), heads_at_once):
            for row in range(0, num_rows, rows_at_once):
                chunk = (slice(head, head + heads_at_once), slice(row, row + rows_at_once))
                turn(keys[chunk], turned[chunk], scratch, dtype, table)
        self._pool[dtype].append(scratch)
        table.copy_still(source, into)

    def _take(self, dtype: Dtype, elements: int) -> Scratch:
        try:
            scratch = self._pool[dtype].pop()
        except IndexError:
            return Scratch(dtype, elements)
        return scratch if scratch.elements >= elements else Scratch(dtype, elements)


def turn(
    bits: torch.Tensor, into: torch.Tensor, scratch: Scratch, dtype: Dtype, table: RotationTable
) -> None:
    """Turn the rotating dimensions of ``bits`` ``[..., D]`` into those of ``into``.

    Both hold the integers that spell the keys, on one device, the scratch's. Other dimensions of
    ``into`` are left as they are.
    """
    size, rotary_dim = bits.numel(), table.rope.rotary_dim
    flushed = _flush(bits, scratch.magnitudes[:size].view(bits.shape), dtype)
    keys = scratch.keys[:size].view(bits.shape)
    turned = scratch.turned[:size].view(bits.shape)[..., :rotary_dim]
    keys.copy_(flushed.view(STORED[dtype]))  # widened, exactly
    cos, sin = _coefficients(table, dtype, bits.device)
    if table.rope.style is RopeStyle.HALF:
        half = rotary_dim // 2
        first, second = slice(0, half), slice(half, rotary_dim)
    else:
        first, second = slice(0, rotary_dim, 2), slice(1, rotary_dim, 2)
    torch.mul(keys[..., :rotary_dim], cos, out=turned)
    turned[..., first].addcmul_(keys[..., second], sin, value=-1)
    turned[..., second].addcmul_(keys[..., first], sin)
    into.view(STORED[dtype])[..., :rotary_dim].copy_(turned)  # rounded to nearest even


def _flush(bits: torch.Tensor, magnitudes: torch.Tensor, dtype: Dtype) -> torch.Tensor:
    """Return the bits with magnitudes in (0, 2^-40) replaced by +0.

    By integers: in a flush-to-zero mode a comparison of floats would not see the smallest. Keys
    that need it are rare, and so are zeros, which only cost the look.
    """
    smallest = SMALLEST_KEY[dtype]
    if smallest == 0:
        return bits
    torch.bitwise_and(bits, magnitude_mask(dtype), out=magnitudes)
    if int(magnitudes.amin()) >= smallest:
        return bits
    return bits.masked_fill((magnitudes < smallest) & (magnitudes != 0), 0)


@lru_cache(maxsize=1024)
def _coefficients(
    table: RotationTable, dtype: Dtype, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return cos of every dimension ``[rotary_dim]`` and sin of every pair, exact as computed."""
    cos, sin = torch.from_numpy(table.cos.copy()), torch.from_numpy(table.sin.copy())
    half = table.rope.style is RopeStyle.HALF
    cos = cos.repeat(2) if half else cos.repeat_interleave(2)
    return cos.to(device, COMPUTED[dtype]), sin.to(device, COMPUTED[dtype])


def _integers(array: Bits, dtype: Dtype) -> torch.Tensor:
    """Return the tensor of an array's bits, in the same memory where torch can address it."""
    native = np.require(array, UNSIGNED[dtype].newbyteorder("="), ["A"])
    signed = native.view(f"i{dtype.itemsize}")
    return torch.from_numpy(signed if signed.flags.writeable else np.asarray(_Unlocked(signed)))


class _Unlocked:
    """A read-only array as numpy's array interface shows a writable one.

    torch has no read-only tensors, and warns of arrays that are; the engine reads its source only.
    """

    def __init__(self, array: np.ndarray[Any, Any]) -> None:
        address, _ = array.__array_interface__["data"]
        self.__array_interface__ = array.__array_interface__ | {"data": (address, False)}
        self._array = array  # its memory must outlive the tensor
