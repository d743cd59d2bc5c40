"""Engine: who turns the keys (RENDER_SPEC section 8). `selection` chooses one."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from latentcrdt.core.geometry import Dtype
from latentcrdt.render.rows import Rows
from latentcrdt.render.tables import Bits, RotationTable


class Engine(Protocol):
    """Writes rows of a render, turned. May be called from any thread."""

    @property
    def name(self) -> str:
        """What benchmarks and logs call it."""

    def rotate(self, source: Bits, into: Bits, dtype: Dtype, table: RotationTable) -> None:
        """Write the rotation of ``source`` ``[H, T, D]`` to ``into``, of the same shape.

        RENDER_SPEC section 6.
        """

    def write(self, section: Rows, heads: range, rows: range, into: Bits) -> None:
        """Write these heads and rows of a section to ``into`` ``[heads, rows, D]``, contiguous."""


def write_by_runs(engine: Engine, section: Rows, heads: range, rows: range, into: Bits) -> None:
    """Do what ``engine.write`` does, by one call for each run."""
    for run, source, target in section.pieces(heads, rows, into):
        table = section.table(run)
        if table is None:
            np.copyto(target, source)
        else:
            engine.rotate(source, target, section.dtype, table)
