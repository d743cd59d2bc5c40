"""The reference engine: numpy, slow, and obviously right (RENDER_SPEC section 6)."""

from __future__ import annotations

from latentcrdt.core.geometry import Dtype
from latentcrdt.render.bits import flush, narrow, widen
from latentcrdt.render.engine import write_by_runs
from latentcrdt.render.rows import Rows
from latentcrdt.render.tables import Bits, RotationTable, pair_indices


class ReferenceEngine:
    """Turns every pair by the formulas of the specification, as they stand there."""

    name = "numpy"

    def rotate(self, source: Bits, into: Bits, dtype: Dtype, table: RotationTable) -> None:
        """Write the rotation of ``source`` ``[H, T, D]`` to ``into``."""
        table.copy_still(source, into)
        first, second = pair_indices(table.rope)
        first, second = first[table.turns], second[table.turns]
        a = widen(flush(source[..., first], dtype), dtype)
        b = widen(flush(source[..., second], dtype), dtype)
        c = table.cos[table.turns].astype(a.dtype)
        s = table.sin[table.turns].astype(a.dtype)
        into[..., first] = narrow(a * c - b * s, dtype)
        into[..., second] = narrow(b * c + a * s, dtype)

    def write(self, section: Rows, heads: range, rows: range, into: Bits) -> None:
        """Write these heads and rows of a section to ``into`` ``[heads, rows, D]``."""
        write_by_runs(self, section, heads, rows, into)
