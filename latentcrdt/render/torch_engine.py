"""The chunked torch engine: elementwise operations only, on any device that torch has.

Chunks stay in cache and scratch is pooled, because page faults of fresh memory cost more than the
arithmetic. Every chunk is one thread's own, from the first operation to the last. ``addcmul`` may
fuse or not: every product is exact, so it cannot change a bit (RENDER_SPEC section 6).
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from latentcrdt.core.geometry import Dtype, RopeDescriptor, RopeStyle
from latentcrdt.render.bits import SMALLEST_KEY, magnitude_mask
from latentcrdt.render.many_tables import REAL, RotationTables
from latentcrdt.render.rows import Rows
from latentcrdt.render.tables import Bits, RotationTable, still_pairs
from latentcrdt.render.workers import Workers

CHUNK_ELEMENTS = 1 << 18
"""Elements turned at a time: with their scratch still in cache, and long enough to start for.

Between two operations a thread needs the interpreter's lock, which the others need as often.
"""

STORED = {Dtype.BF16: torch.bfloat16, Dtype.F16: torch.float16, Dtype.F32: torch.float32}
INTEGER = {Dtype.BF16: torch.int16, Dtype.F16: torch.int16, Dtype.F32: torch.int32}
COMPUTED = {Dtype.BF16: torch.float32, Dtype.F16: torch.float32, Dtype.F32: torch.float64}
"""The type in which products of keys and table entries are exact."""


class Scratch:
    """Memory for one chunk: its keys before and after."""

    def __init__(self, dtype: Dtype, elements: int, device: torch.device | str = "cpu") -> None:
        self.dtype = dtype
        self.elements = elements
        self.keys = torch.empty(elements, dtype=COMPUTED[dtype], device=device)
        self.turned = torch.empty(elements, dtype=COMPUTED[dtype], device=device)


class Turner:
    """Turns chunks of one shape in place. Every view that it takes is made once."""

    def __init__(self, scratch: Scratch, shape: torch.Size, rope: RopeDescriptor) -> None:
        size, rotary_dim = shape.numel(), rope.rotary_dim
        self._dtype, self._rotary_dim = scratch.dtype, rotary_dim
        self._still = None
        if len(still_pairs(rope)):
            self._still = torch.zeros(rotary_dim, dtype=torch.bool, device=scratch.keys.device)
            self._still[still_pairs(rope).tolist()] = True
        self._mask = magnitude_mask(scratch.dtype)
        self._smallest = SMALLEST_KEY[scratch.dtype]
        self._keys = scratch.keys[:size].view(shape)
        self._rotary = self._keys[..., :rotary_dim]
        self._turned = scratch.turned[:size].view(shape)[..., :rotary_dim]
        if rope.style is RopeStyle.HALF:
            half = rotary_dim // 2
            pair = slice(0, half), slice(half, rotary_dim)
        else:
            pair = slice(0, rotary_dim, 2), slice(1, rotary_dim, 2)
        self._first, self._second = (self._rotary[..., part] for part in pair)
        self._turned_first, self._turned_second = (self._turned[..., part] for part in pair)

    def turn(
        self, bits: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, *, flush: bool
    ) -> None:
        """Turn keys ``[heads, rows, D]``, given as the integers that spell them.

        ``cos`` ``[rows or 1, rotary_dim]`` holds one entry for every dimension, ``sin`` ``[rows or
        1, rotary_dim / 2]`` one for every pair. ``flush`` says whether some key may be tiny.
        """
        rotary = bits.narrow(-1, 0, self._rotary_dim)
        keys = self._flushed(bits) if flush else bits
        self._keys.copy_(keys.view(STORED[self._dtype]))  # widened, exactly
        torch.mul(self._rotary, cos, out=self._turned)
        self._turned_first.addcmul_(self._second, sin, value=-1)
        self._turned_second.addcmul_(self._first, sin)
        if self._still is None:
            rotary.view(STORED[self._dtype]).copy_(self._turned)  # rounded to nearest even
        else:
            turned = self._turned.to(STORED[self._dtype]).view(INTEGER[self._dtype])
            rotary.copy_(torch.where(self._still, rotary, turned))

    def _flushed(self, bits: torch.Tensor) -> torch.Tensor:
        """Return the bits with magnitudes in (0, 2^-40) replaced by +0.

        By integers: in a flush-to-zero mode a comparison of floats would not see the smallest.
        """
        magnitudes = bits & self._mask
        return bits.masked_fill((magnitudes < self._smallest) & (magnitudes != 0), 0)


class TorchEngine:
    """Gathers some rows of every head where they are to stand, and turns them there."""

    name = "torch"

    def __init__(self) -> None:
        # A deque's append and pop are atomic: threads share the pool without a lock.
        self._pool: dict[Dtype, deque[Scratch]] = {dtype: deque() for dtype in Dtype}
        self._workers = Workers(torch.get_num_threads(), work_alone)

    def rotate(self, source: Bits, into: Bits, dtype: Dtype, table: RotationTable) -> None:
        """Write the rotation of ``source`` ``[H, T, D]`` to ``into``."""
        tables = RotationTables(table.rope, table.cos[None], table.sin[None], table.turns)

        def write(rows: range) -> None:
            keys = into[:, rows.start : rows.stop]
            np.copyto(keys, source[:, rows.start : rows.stop])
            self._turn(keys, dtype, tables, np.zeros(1, np.int64))

        self._workers.share(range(into.shape[1]), into.nbytes, write)

    def write(self, section: Rows, heads: range, rows: range, into: Bits) -> None:
        """Write these heads and rows of a section to ``into`` ``[heads, rows, D]``."""

        def write(share: range) -> None:
            for _, source, target in section.pieces(heads, share, into[:, _within(share, rows)]):
                np.copyto(target, source)
            if section.tables is not None:
                for turning, table_rows in section.turning(share):
                    keys = into[:, _within(turning, rows)]
                    self._turn(keys, section.dtype, section.tables, table_rows)

        self._workers.share(rows, into.nbytes, write)

    def _turn(
        self, keys: Bits, dtype: Dtype, tables: RotationTables, table_rows: NDArray[np.int64]
    ) -> None:
        """Turn keys ``[heads, rows, D]`` where they are, by rows of the tables: each, or all."""
        assert keys.flags.aligned, "a copy would be turned, and lost"
        bits = torch.from_numpy(keys.view(f"i{dtype.itemsize}"))
        flush = _may_be_tiny(keys, dtype)
        table = _coefficients(tables, dtype)
        scratch = self._take(dtype, min(keys.size, max(CHUNK_ELEMENTS, keys[:, 0].size)))
        turners: dict[int, Turner] = {}
        for block in _blocks(keys):
            part = bits.narrow(1, block.start, len(block))
            turner = turners.get(len(block))
            if turner is None:
                turner = turners[len(block)] = Turner(scratch, part.shape, tables.rope)
            chosen = table_rows[block.start : block.stop] if len(table_rows) > 1 else table_rows
            if (chosen == chosen[0]).all():
                chosen = chosen[:1]  # of one run: a table for each of its rows would be slow
            cos, sin = (torch.from_numpy(entries[chosen]) for entries in table)
            turner.turn(part, cos, sin, flush=flush)
        self._pool[dtype].append(scratch)

    def _take(self, dtype: Dtype, elements: int) -> Scratch:
        try:
            scratch = self._pool[dtype].pop()
        except IndexError:
            return Scratch(dtype, elements)
        return scratch if scratch.elements >= elements else Scratch(dtype, elements)


_setting = threading.Lock()


def work_alone() -> None:
    """Keep torch from sharing out the operations of this thread among threads of its own."""
    with _setting:
        default = torch.get_num_threads()
        torch.set_num_threads(1)
        # That was for this thread, but also for all to come: another thread takes the latter back.
        other = threading.Thread(target=torch.set_num_threads, args=(default,))
        other.start()
        other.join()


def _may_be_tiny(keys: Bits, dtype: Dtype) -> bool:
    """Return whether any magnitude is below 2^-40. Zeros count: they only cost a longer way."""
    smallest = SMALLEST_KEY[dtype]
    if keys.min() < smallest:
        return True
    # As signed integers, the small negative ones are the least.
    least = int(keys.view(f"i{dtype.itemsize}").min())
    return least + magnitude_mask(dtype) + 1 < smallest


def _within(rows: range, of: range) -> slice:
    return slice(rows.start - of.start, rows.stop - of.start)


def _blocks(keys: Bits) -> Iterator[range]:
    """Yield the rows of ``[heads, rows, D]`` in even parts: a short last one costs as much."""
    num_heads, num_rows, dim = keys.shape
    row = 0
    while row < num_rows:
        most = max(1, CHUNK_ELEMENTS // (num_heads * dim))
        left = num_rows - row
        rows = range(row, row + -(-left // -(-left // most)))
        yield rows
        row = rows.stop


@lru_cache(maxsize=4)
def _coefficients(
    tables: RotationTables, dtype: Dtype
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return cos of every dimension ``[deltas, rotary_dim]`` and sin of every pair."""
    cos, sin = (array.astype(REAL[dtype]) for array in (tables.cos, tables.sin))
    half = tables.rope.style is RopeStyle.HALF
    return np.tile(cos, (1, 2)) if half else np.repeat(cos, 2, axis=1), sin
