"""The chunked torch engine: elementwise operations only, on any device that torch has.

Chunks stay in cache and scratch is pooled, because page faults of fresh memory cost more than the
arithmetic. ``addcmul`` may fuse or not: every product is exact, so it cannot change a bit
(RENDER_SPEC section 6).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import SimpleNamespace
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from latentcrdt.core.geometry import Dtype, RopeDescriptor, RopeStyle
from latentcrdt.core.ids import FragmentId
from latentcrdt.render.bits import SMALLEST_KEY, magnitude_mask
from latentcrdt.render.many_tables import REAL, RotationTables
from latentcrdt.render.rows import VERBATIM, Rows
from latentcrdt.render.tables import Bits, RotationTable, still_pairs

CHUNK_ELEMENTS = 1 << 20
"""Elements turned at a time: with their scratch still in cache, and long enough that what torch's
threads spend on starting together is little."""

LONG_ELEMENTS = 1 << 17
"""A run at least this long is turned from where it lies; shorter ones are gathered first."""

MOST_TURNERS = 16
"""Shapes of chunks that one scratch knows."""

MOST_REMEMBERED = 1 << 16
"""Runs of which is remembered whether they hold tiny keys."""

RunBytes: TypeAlias = tuple[FragmentId, int]
"""Fragment and offset in its body: a run goes on from there to the last row of its section."""

STORED = {Dtype.BF16: torch.bfloat16, Dtype.F16: torch.float16, Dtype.F32: torch.float32}
INTEGER = {Dtype.BF16: torch.int16, Dtype.F16: torch.int16, Dtype.F32: torch.int32}
COMPUTED = {Dtype.BF16: torch.float32, Dtype.F16: torch.float32, Dtype.F32: torch.float64}
"""The type in which products of keys and table entries are exact."""


class Scratch:
    """Memory for one chunk: its keys before and after, their magnitudes, and what turns them."""

    def __init__(self, dtype: Dtype, elements: int, device: torch.device | str = "cpu") -> None:
        self.dtype = dtype
        self.elements = elements
        self.keys = torch.empty(elements, dtype=COMPUTED[dtype], device=device)
        self.turned = torch.empty(elements, dtype=COMPUTED[dtype], device=device)
        # Not a part of `turned`: its lines would go from core to core, as elements differ in size.
        self.magnitudes = torch.empty(elements, dtype=INTEGER[dtype], device=device)
        self._turners: dict[tuple[torch.Size, RopeDescriptor], Turner] = {}

    def turner(self, shape: torch.Size, rope: RopeDescriptor) -> Turner:
        """Return what turns chunks of this shape: views cost more to take than a small chunk."""
        found = self._turners.get((shape, rope))
        if found is None:
            if len(self._turners) == MOST_TURNERS:
                self._turners.clear()
            found = self._turners[shape, rope] = Turner(self, shape, rope)
        return found


class Turner:
    """Turns chunks of one shape. Every view that it takes of the scratch is made once."""

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
        self._magnitudes = scratch.magnitudes[:size].view(shape)
        if rope.style is RopeStyle.HALF:
            half = rotary_dim // 2
            pair = slice(0, half), slice(half, rotary_dim)
        else:
            pair = slice(0, rotary_dim, 2), slice(1, rotary_dim, 2)
        self._first, self._second = (self._rotary[..., part] for part in pair)
        self._turned_first, self._turned_second = (self._turned[..., part] for part in pair)

    def turn(
        self,
        source: torch.Tensor,
        into: torch.Tensor,
        cos: torch.Tensor,
        sin: torch.Tensor,
        *,
        flush: bool,
    ) -> None:
        """Turn keys ``[heads, rows, D]``, given as the integers that spell them.

        ``cos`` ``[rows or 1, rotary_dim]`` holds one entry for every dimension, ``sin`` ``[rows or
        1, rotary_dim / 2]`` one for every pair. ``into`` may be ``source``. ``flush`` may be False
        where no key is tiny.
        """
        stored, integer = STORED[self._dtype], INTEGER[self._dtype]
        self._keys.copy_(source.view(stored))  # widened, exactly
        if flush and self.may_be_tiny(source):
            self._keys.copy_(self._flushed(source).view(stored))
        torch.mul(self._rotary, cos, out=self._turned)
        self._turned_first.addcmul_(self._second, sin, value=-1)
        self._turned_second.addcmul_(self._first, sin)
        rotary = into.narrow(-1, 0, self._rotary_dim)
        if self._still is None:
            rotary.view(stored).copy_(self._turned)  # rounded to nearest even
        else:
            unturned = source.narrow(-1, 0, self._rotary_dim)
            rotary.copy_(torch.where(self._still, unturned, self._turned.to(stored).view(integer)))
        if self._rotary_dim < into.shape[-1] and into.data_ptr() != source.data_ptr():
            into[..., self._rotary_dim :] = source[..., self._rotary_dim :]

    def may_be_tiny(self, bits: torch.Tensor) -> bool:
        """Return whether some magnitude is below 2^-40. Zeros count: they only cost a longer way.

        By integers: in a flush-to-zero mode a comparison of floats would not see the smallest.
        """
        if self._smallest == 0:
            return False
        magnitudes = torch.bitwise_and(bits, self._mask, out=self._magnitudes)
        return int(magnitudes.amin()) < self._smallest

    def _flushed(self, bits: torch.Tensor) -> torch.Tensor:
        """Return the bits with magnitudes in (0, 2^-40) replaced by +0."""
        magnitudes = bits & self._mask
        return bits.masked_fill((magnitudes < self._smallest) & (magnitudes != 0), 0)


class TorchEngine:
    """Turns long runs from where they lie, and short ones together, gathered where they stand."""

    name = "torch"

    def __init__(self) -> None:
        # A deque's append and pop are atomic: threads share the pool without a lock.
        self._pool: dict[Dtype, deque[Scratch]] = {dtype: deque() for dtype in Dtype}
        self._may_be_tiny: dict[RunBytes, bool] = {}

    def rotate(self, source: Bits, into: Bits, dtype: Dtype, table: RotationTable) -> None:
        """Write the rotation of ``source`` ``[H, T, D]`` to ``into``."""
        tables = RotationTables(table.rope, table.cos[None], table.sin[None], table.turns)
        self._turn(source, into, dtype, tables, np.zeros(1, np.int64))

    def write(self, section: Rows, heads: range, rows: range, into: Bits) -> None:
        """Write these heads and rows of a section to ``into`` ``[heads, rows, D]``."""
        dtype, tables = section.dtype, section.tables
        long_rows = -(-LONG_ELEMENTS // (len(heads) * section.dim))
        for run, source, target in section.pieces(heads, rows, into):
            table_row = section.table_rows[run : run + 1]
            if tables is None or target.shape[1] < long_rows or table_row[0] == VERBATIM:
                np.copyto(target, source)
            else:
                flush = self._needs_flush(section, run, tables.rope)
                self._turn(source, target, dtype, tables, table_row, flush=flush)
        if tables is not None:
            for turning, table_rows in section.turning(rows, shorter_than=long_rows):
                keys = into[:, turning.start - rows.start : turning.stop - rows.start]
                self._turn(keys, keys, dtype, tables, table_rows)

    def _turn(
        self,
        source: Bits,
        into: Bits,
        dtype: Dtype,
        tables: RotationTables,
        table_rows: NDArray[np.int64],
        *,
        flush: bool = True,
    ) -> None:
        """Turn keys ``[heads, rows, D]`` by rows of the tables: one for each row, or one for all.

        ``into`` may be ``source``. ``flush`` may be False where no key is tiny.
        """
        assert into.flags.aligned, "a copy would be written, and lost"
        read, written = (_tensor(bits, dtype) for bits in (source, into))
        cos, sin = _coefficients(tables, dtype)
        step = _rows_at_once(read.shape)
        with self._scratch(dtype, read[:, :step].numel()) as scratch:
            for rows in _slices(read.shape[1], step):
                chunk, target = read[:, rows], written[:, rows]
                chosen = table_rows if len(table_rows) == 1 else table_rows[rows]
                if len(chosen) > 1 and (chosen == chosen[0]).all():
                    chosen = chosen[:1]  # of one run: a table for each of its rows would be slow
                entries = torch.from_numpy(cos[chosen]), torch.from_numpy(sin[chosen])
                turner = scratch.turner(chunk.shape, tables.rope)
                turner.turn(chunk, target, *entries, flush=flush)

    def _needs_flush(self, section: Rows, run: int, rope: RopeDescriptor) -> bool:
        """Return whether a run may hold tiny keys. Its bytes never change: they are read once."""
        fragment_id = section.buffers.fragment_ids[section.sources[run]]
        name = fragment_id, int(section.offsets[run])
        known = self._may_be_tiny.get(name)
        if known is None:
            keys = _tensor(section.whole_run(run), section.dtype)
            step = _rows_at_once(keys.shape)
            with self._scratch(section.dtype, keys[:, :step].numel()) as scratch:
                chunks = (keys[:, rows] for rows in _slices(keys.shape[1], step))
                known = any(scratch.turner(c.shape, rope).may_be_tiny(c) for c in chunks)
            if len(self._may_be_tiny) >= MOST_REMEMBERED:
                self._may_be_tiny.clear()
            self._may_be_tiny[name] = known
        return known

    @contextmanager
    def _scratch(self, dtype: Dtype, elements: int) -> Iterator[Scratch]:
        """Lend scratch from the pool."""
        try:
            scratch = self._pool[dtype].pop()
        except IndexError:
            scratch = Scratch(dtype, elements)
        if scratch.elements < elements:
            scratch = Scratch(dtype, elements)
        yield scratch
        self._pool[dtype].append(scratch)


def _rows_at_once(shape: torch.Size) -> int:
    """Return the rows of a chunk of keys ``[heads, rows, D]``."""
    num_heads, num_rows, dim = shape
    most_rows = max(1, CHUNK_ELEMENTS // (num_heads * dim))
    # In even parts: a short last one would cost as much.
    return -(-num_rows // -(-num_rows // most_rows))


def _slices(num_rows: int, step: int) -> Iterator[slice]:
    """Yield slices of so many rows."""
    return (slice(first, first + step) for first in range(0, num_rows, step))


def _tensor(bits: Bits, dtype: Dtype) -> torch.Tensor:
    """Show memory to torch, as signed integers; what is not aligned is copied."""
    bits = (bits if bits.flags.aligned else bits.copy()).view(f"i{dtype.itemsize}")
    if bits.flags.writeable:
        return torch.from_numpy(bits)
    # torch would warn of memory that may not be written, which it is not.
    address, _ = bits.__array_interface__["data"]
    interface = {**bits.__array_interface__, "data": (address, False)}
    return torch.from_numpy(np.asarray(SimpleNamespace(__array_interface__=interface, owner=bits)))


@lru_cache(maxsize=4)
def _coefficients(
    tables: RotationTables, dtype: Dtype
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return cos of every dimension ``[deltas, rotary_dim]`` and sin of every pair."""
    cos, sin = (array.astype(REAL[dtype]) for array in (tables.cos, tables.sin))
    half = tables.rope.style is RopeStyle.HALF
    return np.tile(cos, (1, 2)) if half else np.repeat(cos, 2, axis=1), sin
