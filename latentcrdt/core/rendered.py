"""A render as a value: its plan, and views of its sections in one buffer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from latentcrdt.core.container import RENDER_MAGIC, split
from latentcrdt.core.digester import RunDigester
from latentcrdt.core.encoding import Buffer, Hasher
from latentcrdt.core.ids import Digest
from latentcrdt.core.plan import LayerRange, RenderPlan
from latentcrdt.core.receipt import RunDigests
from latentcrdt.errors import RangeNotSatisfiableError, TruncatedError


class LayeredRender(Protocol):
    """Rendered K and V, layer by layer. Some may still be on their way: whoever asks, waits."""

    @property
    def plan(self) -> RenderPlan:
        """What is rendered."""

    def keys(self, layer: int) -> memoryview:
        """Return the bytes of a layer's K ``[H, T, D]``, or raise what kept them from coming."""

    def values(self, layer: int) -> memoryview:
        """Return the bytes of a layer's V ``[H, T, D_v]``, or raise what kept them from coming."""


@dataclass(frozen=True, slots=True)
class Render:
    """Rendered K and V of the layers that the plan carries, layer by layer, K before V."""

    plan: RenderPlan
    body: memoryview

    def keys(self, layer: int) -> memoryview:
        """Return the bytes of a layer's K ``[H, T, D]``."""
        offset = self._offset(layer)
        return self.body[offset : offset + self.plan.keys_bytes(layer)]

    def values(self, layer: int) -> memoryview:
        """Return the bytes of a layer's V ``[H, T, D_v]``."""
        offset = self._offset(layer) + self.plan.keys_bytes(layer)
        return self.body[offset : offset + self.plan.values_bytes(layer)]

    @property
    def digest(self) -> Digest:
        """BLAKE3 of the whole stream, header and body: what two renders are compared by."""
        hasher = Hasher()
        hasher.update(self.plan.framing)
        hasher.update(self.body)
        return Digest(hasher.digest())

    def to_bytes(self) -> bytes:
        """Return the whole render stream."""
        return self.plan.framing + self.body

    @classmethod
    def from_buffer(cls, data: Buffer) -> Render:
        """Return the render that a whole stream spells, without copying its body."""
        header, body = split(RENDER_MAGIC, memoryview(data).toreadonly())
        plan = RenderPlan.decode(header)
        if len(body) != plan.body_bytes:
            raise TruncatedError(
                f"render {plan.render_id}: expected a body of {plan.body_bytes} bytes, "
                f"got {len(body)}",
                id=str(plan.render_id),
                expected=plan.body_bytes,
                actual=len(body),
            )
        return cls(plan, body)

    def run_digests(self) -> list[RunDigests]:
        """Return the digests of every row run, layer by layer: what a receipt lists.

        A run's digest is over its rows ``[H, rows, D]``, gathered head by head, so that a render
        can be checked without its fragments, and a fragment's part of it alone.
        """
        digester = RunDigester(self.plan)
        digester.feed(self.body)
        return digester.finish()

    def _offset(self, layer: int) -> int:
        carried: LayerRange = self.plan.layers
        if not carried.first <= layer < carried.stop:
            raise RangeNotSatisfiableError(
                f"layer {layer}: this render carries layers {carried.first} to {carried.stop - 1}"
            )
        before = range(carried.first, layer)
        return sum(self.plan.keys_bytes(i) + self.plan.values_bytes(i) for i in before)
