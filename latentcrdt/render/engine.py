"""Engine: who turns the keys (RENDER_SPEC section 8). `selection` chooses one."""

from __future__ import annotations

from typing import Protocol

from latentcrdt.core.geometry import Dtype
from latentcrdt.render.tables import Bits, RotationTable


class Engine(Protocol):
    """Rotates keys from one array into another."""

    @property
    def name(self) -> str:
        """What benchmarks and logs call it."""

    def rotate(self, source: Bits, into: Bits, dtype: Dtype, table: RotationTable) -> None:
        """Write the rotation of ``source`` ``[H, T, D]`` to ``into``, of the same shape.

        RENDER_SPEC section 6. May be called from any thread.
        """
