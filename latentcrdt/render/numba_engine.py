"""The compiled engine: turns and copies in little more than the time of a copy.

All runs of a part of a section are written in one call: a render of a thousand small fragments
takes little longer than one of two large ones.
"""

# numba's types come without annotations, and its settings are made when it is loaded.
# mypy: disable-error-code="no-untyped-call, attr-defined"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import float32, float64, int64, njit, types, uint64

from latentcrdt.core.geometry import Dtype, RopeStyle
from latentcrdt.render.bits import UNSIGNED
from latentcrdt.render.engine import write_by_runs
from latentcrdt.render.many_tables import REAL
from latentcrdt.render.numba_loops import LOOPS
from latentcrdt.render.rows import Rows
from latentcrdt.render.tables import Bits, RotationTable, still_pairs


def _compile(dtype: Dtype, loop: Callable[..., None]) -> Callable[..., None]:
    """Compile one loop, or load it from numba's cache."""

    def array(element: Any, dimensions: int) -> Any:
        return types.Array(element, dimensions, "C", readonly=True)

    integers = array(int64, 1)
    real = array(float64 if dtype is Dtype.F32 else float32, 2)
    runs = array(uint64, 1), integers, integers, integers
    section = types.Tuple((*runs, real, real, integers, int64, int64))
    target = types.Tuple((uint64, int64))
    signature = types.void(section, target, types.UniTuple(int64, 2), types.UniTuple(int64, 3))
    compiled: Callable[..., None] = njit(signature, nogil=True, cache=True)(loop)
    return compiled


class NumbaEngine:
    """Turns and copies all runs of a part in one compiled call, without the interpreter's lock."""

    name = "numba"

    def __init__(self) -> None:
        self._loops = {key: _compile(key[0], loop) for key, loop in LOOPS.items()}

    def rotate(self, source: Bits, into: Bits, dtype: Dtype, table: RotationTable) -> None:
        """Write the rotation of ``source`` ``[H, T, D]`` to ``into``."""
        num_heads, num_rows, dim = source.shape
        if not _is_packed(source):
            source = np.require(source, UNSIGNED[dtype], ["C", "A"])
        section = (
            np.array([_address(source)], np.uint64),
            np.array([source.strides[0]], np.int64),
            np.array([0, num_rows], np.int64),
            np.zeros(1, np.int64),
            *(entries.astype(REAL[dtype])[None] for entries in (table.cos, table.sin)),
            still_pairs(table.rope),
            dim,
            dim * dtype.itemsize,
        )
        loop = self._loops[dtype, table.rope.style]
        _call(loop, section, range(num_heads), (0, num_rows, 0), into)

    def write(self, section: Rows, heads: range, rows: range, into: Bits) -> None:
        """Write these heads and rows of a section to ``into`` ``[heads, rows, D]``."""
        dtype, tables = section.dtype, section.tables
        addresses = section.addresses
        if (addresses % np.uint64(dtype.itemsize)).any():
            write_by_runs(self, section, heads, rows, into)
            return
        style = RopeStyle.HALF if tables is None else tables.rope.style
        none = np.empty((1, 0), REAL[dtype])
        arrays = (
            addresses,
            section.head_bytes,
            section.bounds,
            section.table_rows,
            none if tables is None else tables.cos,
            none if tables is None else tables.sin,
            np.empty(0, np.int64) if tables is None else still_pairs(tables.rope),
            section.dim,
            section.row_bytes,
        )
        span = rows.start, rows.stop, section.first_run(rows.start)
        _call(self._loops[dtype, style], arrays, heads, span, into)


def _call(
    loop: Callable[..., None],
    section: tuple[Any, ...],
    heads: range,
    rows: tuple[int, int, int],
    into: Bits,
) -> None:
    assert _is_packed(into), "the loop writes rows side by side"
    loop(section, (_address(into), into.strides[0]), (heads.start, heads.stop), rows)


def _address(array: Bits) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _is_packed(bits: Bits) -> bool:
    """Return whether each head's rows lie side by side, at an address that the loops can read."""
    row_bytes = bits.shape[-1] * bits.itemsize
    return bits.flags.aligned and bits.strides[1:] == (row_bytes, bits.itemsize)
