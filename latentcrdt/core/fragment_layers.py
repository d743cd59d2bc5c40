"""Some layers of a fragment as a value: its header, and views of their sections in one buffer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from latentcrdt.core.header import FragmentHeader, Section
from latentcrdt.core.plan import LayerRange
from latentcrdt.errors import RangeNotSatisfiableError


@dataclass(frozen=True, slots=True)
class FragmentLayers:
    """K and V of the layers ``first <= layer < stop`` of one fragment, verified, immutable."""

    header: FragmentHeader
    layers: LayerRange
    body: memoryview
    """The sections of these layers in file order, K before V."""

    def keys(self, layer: int) -> memoryview:
        """Return the bytes of a layer's K ``[H, T_l, D]``."""
        return self._section(layer, self.header.keys_section)

    def values(self, layer: int) -> memoryview:
        """Return the bytes of a layer's V ``[H, T_l, D_v]``."""
        return self._section(layer, self.header.values_section)

    def _section(self, layer: int, find: Callable[[int], Section]) -> memoryview:
        if not self.layers.first <= layer < self.layers.stop:
            raise RangeNotSatisfiableError(
                f"layer {layer}: of fragment {self.header.fragment_id} these are layers "
                f"{self.layers.first} to {self.layers.stop - 1}"
            )
        section, base = find(layer), self.header.keys_section(self.layers.first).offset
        return self.body[section.offset - base : section.stop - base]
