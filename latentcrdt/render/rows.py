"""Rows: what one fragment contributes to one rendered section, and how it turns on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from latentcrdt.core.encoding import Buffer
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.geometry import Dtype
from latentcrdt.core.plan import RowRun
from latentcrdt.render.bits import as_bits
from latentcrdt.render.engine import Engine
from latentcrdt.render.tables import Bits, RotationTable, rotation_table


@dataclass(frozen=True, slots=True)
class Rows:
    """A view of consecutive rows of every head of a section."""

    bits: Bits
    """``[H, rows, D]``"""
    dtype: Dtype
    table: RotationTable | None = None
    """None: the bytes are copied verbatim (V, delta 0, layers without rope, turned already)."""
    on_written: Callable[[Bits], None] | None = None
    """Told of every stretch of turned rows ``[heads, rows, D]``, in order, while it is in cache."""

    @property
    def num_rows(self) -> int:
        """Rows of each head."""
        return int(self.bits.shape[1])

    @property
    def head_bytes(self) -> int:
        """Bytes of one head's rows, which lie side by side in the fragment."""
        return int(self.bits[0].nbytes)

    def write(self, into: Bits, heads: slice, engine: Engine) -> None:
        """Write the chosen heads, turned, to ``into`` ``[heads, rows, D]``."""
        if self.table is None:
            np.copyto(into, self.bits[heads])
        else:
            engine.rotate(self.bits[heads], into, self.dtype, self.table)
            if self.on_written is not None:
                self.on_written(into)

    def split(self, heads: slice, max_bytes: int) -> Iterator[Rows]:
        """Yield the chosen heads in runs of at most ``max_bytes`` each."""
        at_once = max(1, max_bytes // (self.bits.itemsize * self.bits.shape[-1]))
        for first in range(0, self.num_rows, at_once):
            yield replace(self, bits=self.bits[heads, first : first + at_once])


def keys_rows(fragment: Fragment, layer: int, run: RowRun) -> Rows:
    """Return a run of a fragment's K, with the table that takes it to its new position."""
    geometry, delta = fragment.header.geometry, run.placement.delta
    rope = geometry.rope_of(layer)
    shape = (run.section_rows, geometry.layers[layer].key_dim)
    rows = section_rows(fragment.keys(layer), shape, geometry.dtype, run.first_row, run.num_rows)
    if rope is not None and delta != 0:
        rows = replace(rows, table=rotation_table(rope, delta, geometry.dtype))
    return rows


def values_rows(fragment: Fragment, layer: int, run: RowRun) -> Rows:
    """Return a run of a fragment's V, which no position changes."""
    geometry = fragment.header.geometry
    shape = (run.section_rows, geometry.layers[layer].value_dim)
    return section_rows(fragment.values(layer), shape, geometry.dtype, run.first_row, run.num_rows)


def section_rows(
    section: Buffer, shape: tuple[int, int], dtype: Dtype, first_row: int, num_rows: int
) -> Rows:
    """Return rows of a section as they stand in it; ``shape`` is one head's ``[T, D]``."""
    bits = as_bits(section, dtype).reshape(-1, *shape)
    return Rows(bits[:, first_row : first_row + num_rows], dtype)
