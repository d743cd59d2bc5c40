"""Rows: where the rows of one rendered section lie, and how they turn, as arrays over its runs.

A render of a thousand fragments has as many runs in every section. Whatever is done run by run in
Python costs more there than the rotation; so a section is described by arrays, in a few operations.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from latentcrdt.core.geometry import Dtype
from latentcrdt.core.ids import FragmentId
from latentcrdt.render.bits import UNSIGNED
from latentcrdt.render.many_tables import RotationTables
from latentcrdt.render.tables import Bits, RotationTable

VERBATIM = -1
"""The row of the tables for runs that are copied: V, delta 0, layers without rope, reused rows."""


@dataclass(frozen=True, slots=True, eq=False)
class Buffers:
    """Memory that rows are taken from. It stays where it is while this value exists."""

    views: tuple[NDArray[np.uint8], ...]
    fragment_ids: tuple[FragmentId, ...]
    """Of the fragments whose bodies the first buffers are; an earlier render comes last."""
    addresses: NDArray[np.uint64]
    """``[buffers]``, of each one's first byte."""
    sizes: NDArray[np.int64]
    """``[buffers]``, in bytes."""

    @classmethod
    def of(cls, views: Sequence[memoryview], fragment_ids: tuple[FragmentId, ...]) -> Buffers:
        """Return the buffers that these views show, each contiguous."""
        bytewise = [np.frombuffer(view, dtype=np.uint8) for view in views]
        addresses = [array.__array_interface__["data"][0] for array in bytewise]
        sizes = [array.size for array in bytewise]
        return cls(
            tuple(bytewise),
            fragment_ids,
            np.array(addresses, np.uint64),
            np.array(sizes, np.int64),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The rows of one rendered section ``[H, T, D]``: entry i of every array is its i-th run.

    Engines follow the addresses without looking: whoever makes one has checked that no run leaves
    its buffer.
    """

    dtype: Dtype
    num_heads: int
    dim: int
    buffers: Buffers
    sources: NDArray[np.int64]
    """``[runs]``: which of the buffers."""
    offsets: NDArray[np.int64]
    """``[runs]``: bytes from the buffer's start to the run's first row of head 0."""
    head_bytes: NDArray[np.int64]
    """``[runs]``: bytes from a head to the next, in the buffer."""
    bounds: NDArray[np.int64]
    """``[runs + 1]``: run i is the section's rows ``bounds[i]`` to ``bounds[i + 1]``."""
    table_rows: NDArray[np.int64]
    """``[runs]``: which of the tables turns the run, or ``VERBATIM``."""
    tables: RotationTables | None = None
    """None where no run turns."""

    @property
    def num_rows(self) -> int:
        """Rows of the section, of each head."""
        return int(self.bounds[-1])

    @property
    def run_rows(self) -> NDArray[np.int64]:
        """Rows of each run, ``[runs]``."""
        rows: NDArray[np.int64] = self.bounds[1:] - self.bounds[:-1]
        return rows

    @property
    def row_bytes(self) -> int:
        """Bytes of one head at one token."""
        return self.dim * self.dtype.itemsize

    @property
    def ends(self) -> NDArray[np.int64]:
        """Where each run ends in its buffer, ``[runs]``."""
        run_bytes = self.run_rows * self.row_bytes
        ends: NDArray[np.int64] = self.offsets + (self.num_heads - 1) * self.head_bytes + run_bytes
        return ends

    @property
    def addresses(self) -> NDArray[np.uint64]:
        """Where each run's first row lies in memory, ``[runs]``."""
        found: NDArray[np.uint64] = self.buffers.addresses[self.sources]
        return found + self.offsets.astype(np.uint64)

    def table(self, run: int) -> RotationTable | None:
        """Return the table that turns a run, or None."""
        row = int(self.table_rows[run])
        return None if row == VERBATIM or self.tables is None else self.tables[row]

    def bits(self, run: int, heads: range, rows: range) -> Bits:
        """Return a run's own rows ``[heads, rows, D]``, counted from its first one, as they lie."""
        head_bytes = int(self.head_bytes[run])
        offset = int(self.offsets[run]) + heads.start * head_bytes + rows.start * self.row_bytes
        return np.ndarray(
            (len(heads), len(rows), self.dim),
            UNSIGNED[self.dtype],
            self.buffers.views[self.sources[run]],
            offset,
            (head_bytes, self.row_bytes, self.dtype.itemsize),
        )

    def parts(self, rows: range, written: Bits) -> Iterator[tuple[int, Bits]]:
        """Yield the runs of the section's rows, each with its part of ``[heads, rows, D]``."""
        first, bounds = self._cut(rows)
        starts = (bounds - rows.start).tolist()
        for run, (start, stop) in enumerate(pairwise(starts), first):
            yield run, written[:, start:stop]

    def pieces(self, heads: range, rows: range, into: Bits) -> Iterator[tuple[int, Bits, Bits]]:
        """Yield the runs of the rows, each as it lies and with its part of ``into``."""
        first, bounds = self._cut(rows)
        runs = slice(first, first + len(bounds) - 1)
        offsets = self.offsets[runs] + heads.start * self.head_bytes[runs]
        offsets += (bounds[:-1] - self.bounds[runs]) * self.row_bytes
        # As lists: this loop is what a render of a thousand fragments waits for.
        views, element, row_bytes = self.buffers.views, UNSIGNED[self.dtype], self.row_bytes
        starts = (bounds - rows.start).tolist()
        for run, source, offset, head_bytes, start, stop in zip(
            range(runs.start, runs.stop),
            self.sources[runs].tolist(),
            offsets.tolist(),
            self.head_bytes[runs].tolist(),
            starts,
            starts[1:],
            strict=False,
        ):
            shape = len(heads), stop - start, self.dim
            strides = head_bytes, row_bytes, element.itemsize
            bits = np.ndarray(shape, element, views[source], offset, strides)
            yield run, bits, into[:, start:stop]

    def whole_run(self, run: int) -> Bits:
        """Return all of a run ``[H, rows, D]``, as it lies."""
        return self.bits(run, range(self.num_heads), range(int(self.run_rows[run])))

    def first_run(self, row: int) -> int:
        """Return the run that a row of the section belongs to."""
        return int(np.searchsorted(self.bounds, row, side="right")) - 1

    def _cut(self, rows: range) -> tuple[int, NDArray[np.int64]]:
        """Return the first run of the rows, and the bounds of their runs, cut to them."""
        first, last = self.first_run(rows.start), self.first_run(rows.stop - 1)
        bounds = np.maximum(self.bounds[first : last + 2], rows.start)
        return first, np.minimum(bounds, rows.stop)

    def only(self, runs: NDArray[np.intp]) -> Rows:
        """Return a section of some of the runs."""
        bounds = np.append(0, np.cumsum(self.run_rows[runs]))
        return replace(
            self,
            sources=self.sources[runs],
            offsets=self.offsets[runs],
            head_bytes=self.head_bytes[runs],
            bounds=bounds,
            table_rows=self.table_rows[runs],
        )

    def turning(self, rows: range, shorter_than: int) -> Iterator[tuple[range, NDArray[np.int64]]]:
        """Yield the stretches of the rows that turn, with the row of the tables for each row.

        Runs are left out of which that many rows, or more, are among these.
        """
        first, bounds = self._cut(rows)
        lengths = np.diff(bounds)
        if lengths.min() >= shorter_than:
            return
        table_rows = self.table_rows[first : first + len(lengths)]
        of_row = np.repeat(np.where(lengths < shorter_than, table_rows, VERBATIM), lengths)
        turns = np.concatenate([[False], of_row != VERBATIM, [False]])
        edges = np.flatnonzero(turns[1:] != turns[:-1]).tolist()
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            yield rows[start:stop], of_row[start:stop]
