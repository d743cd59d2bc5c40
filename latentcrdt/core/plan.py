"""RenderPlan: order, positions and deltas of one class under one layout; integers only.

RENDER_SPEC sections 4 and 7. `placement` makes plans; here is what one says and how it is spelled.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

from latentcrdt.core.compatibility import class_id
from latentcrdt.core.container import RENDER_MAGIC, frame
from latentcrdt.core.encoding import (
    DIGEST_BYTES,
    Buffer,
    as_bytes,
    as_int,
    as_list,
    as_text,
    check_one_spelling,
    decode,
    digest,
    encode,
)
from latentcrdt.core.geometry import MAX_POSITION, Geometry
from latentcrdt.core.ids import ClassId, FragmentId, RenderId
from latentcrdt.errors import (
    InvalidRequestError,
    MalformedError,
    RangeNotSatisfiableError,
)

KIND = "latentcrdt.plan"
RENDER_KIND = "latentcrdt.render"
SPEC_VERSION = 1
"""The version of RENDER_SPEC.md that a plan follows."""

MAX_ENTRIES = 50_000
"""Fragments in one plan; positions run out first for fragments of any useful length."""


class Layout(StrEnum):
    """Where fragments are placed."""

    SEQUENTIAL = "sequential"
    """Each fragment starts where the one before it ends."""
    PARALLEL = "parallel"
    """Every fragment starts at base."""
    SLOTTED = "slotted"
    """Fragment j starts at base + j * stride."""


@dataclass(frozen=True, slots=True)
class LayerRange:
    """The layers ``first <= layer < stop`` of a render."""

    first: int
    stop: int

    @classmethod
    def parse(cls, text: str, num_layers: int) -> LayerRange:
        """Read ``a:b`` (either side may be left out), within ``num_layers``."""
        first, colon, stop = text.partition(":")
        if not colon or not all(re.fullmatch(r"[0-9]{0,9}", part) for part in (first, stop)):
            raise InvalidRequestError(f"layers: expected a:b, got {text!r:.40}")
        chosen = cls(int(first or 0), int(stop or num_layers))
        if not 0 <= chosen.first < chosen.stop <= num_layers:
            raise RangeNotSatisfiableError(
                f"layers: expected 0 <= a < b <= {num_layers}, got {text!r:.40}", limit=num_layers
            )
        return chosen


@dataclass(frozen=True, slots=True)
class Placement:
    """One fragment in a plan."""

    fragment_id: FragmentId
    start: int
    """Position of its first token at capture."""
    seq_len: int
    new_start: int
    """Position of its first token in the render."""

    @property
    def delta(self) -> int:
        """How far its keys are rotated, in tokens."""
        return self.new_start - self.start

    @property
    def new_stop(self) -> int:
        """Position after its last token in the render."""
        return self.new_start + self.seq_len


@dataclass(frozen=True, slots=True)
class RowRun:
    """Consecutive rows of one fragment's section that a rendered section takes up."""

    placement: Placement
    first_row: int
    """First row, counted in the fragment's own section of this layer."""
    num_rows: int
    section_rows: int
    """Rows of each head in that section."""


# Not slotted: cached_property keeps the encoded bytes and the row runs.
@dataclass(frozen=True)
class RenderPlan:
    """What a render is, before any byte of it exists."""

    geometry: Geometry
    layout: Layout
    prefixes: tuple[Placement, ...]
    """The chain of prefixes, outermost first, each at its own start: delta 0."""
    placements: tuple[Placement, ...]
    """The fragments, in render order."""
    layers: LayerRange
    """The layers that the stream carries; all of them unless fewer were asked for."""

    @property
    def base(self) -> int:
        """Where the first fragment may start: the prefix's end, or 0."""
        return self.prefixes[-1].new_stop if self.prefixes else 0

    @cached_property
    def class_id(self) -> ClassId:
        """The compatibility class that this plan renders."""
        prefix = self.prefixes[-1].fragment_id if self.prefixes else None
        return class_id(self.geometry, prefix)

    @property
    def next_position(self) -> int:
        """The position of the first token to decode."""
        return max(p.new_stop for p in self.placements)

    @cached_property
    def num_tokens(self) -> int:
        """Rows of a full layer: the tokens that the render holds."""
        return sum(p.seq_len for p in (*self.prefixes, *self.placements))

    @cached_property
    def render_id(self) -> RenderId:
        """The name of the whole render, all layers (RENDER_SPEC section 7)."""
        deltas = [[bytes(p.fragment_id), p.delta] for p in self.placements]
        fields = [bytes(self.class_id), str(self.layout), self.base, deltas]
        return RenderId(digest(encode(RENDER_KIND, SPEC_VERSION, fields)))

    @property
    def etag(self) -> str:
        """A strong name of this very stream: the render id, and the layers if not all."""
        if self.layers == LayerRange(0, len(self.geometry.layers)):
            return str(self.render_id)
        return f"{self.render_id}.{self.layers.first}-{self.layers.stop}"

    def runs(self, layer: int) -> list[RowRun]:
        """Return the rows of a rendered section, in order (each head takes the same rows).

        A sliding layer keeps the last window - 1 rows of the concatenation.
        """
        spec = self.geometry.layers[layer]
        room = spec.rows(self.num_tokens)
        runs: list[RowRun] = []
        for placement in (*self.placements[::-1], *self.prefixes[::-1]):
            section_rows = spec.rows(placement.seq_len)
            num_rows = min(section_rows, room)
            if num_rows == 0:
                break
            runs.append(RowRun(placement, section_rows - num_rows, num_rows, section_rows))
            room -= num_rows
        return runs[::-1]

    def num_rows(self, layer: int) -> int:
        """Return how many rows (tokens) a rendered section of this layer has."""
        return self.geometry.layers[layer].rows(self.num_tokens)

    def keys_bytes(self, layer: int) -> int:
        """Return the size of a layer's rendered K ``[H, T, D]``."""
        heads = self.geometry.layers[layer].num_kv_heads
        return heads * self.num_rows(layer) * self.geometry.key_row_bytes(layer)

    def values_bytes(self, layer: int) -> int:
        """Return the size of a layer's rendered V ``[H, T, D_v]``."""
        heads = self.geometry.layers[layer].num_kv_heads
        return heads * self.num_rows(layer) * self.geometry.value_row_bytes(layer)

    @property
    def body_bytes(self) -> int:
        """Size of the stream's body: every section of the layers it carries."""
        carried = range(self.layers.first, self.layers.stop)
        return sum(self.keys_bytes(i) + self.values_bytes(i) for i in carried)

    @property
    def framing(self) -> bytes:
        """The bytes of the render stream that stand before the body."""
        return frame(RENDER_MAGIC, self.encoded)

    @cached_property
    def encoded(self) -> bytes:
        """The canonical plan bytes: the header of the render stream."""
        return encode(
            KIND,
            SPEC_VERSION,
            [
                *self.geometry.fields(),
                str(self.layout),
                [_fields(p) for p in self.prefixes],
                [_fields(p) for p in self.placements],
                [self.layers.first, self.layers.stop],
            ],
        )

    @classmethod
    def decode(cls, data: Buffer) -> RenderPlan:
        """Return the plan that these bytes spell; raises as FragmentHeader.decode does."""
        fields = as_list(decode(KIND, SPEC_VERSION, data), "plan fields", 8)
        layout = as_text(fields[4], "layout", 16)
        if layout not in list(Layout):
            raise MalformedError(f"layout: expected one of {list(Layout)}, got {layout!r:.40}")
        geometry = Geometry.from_fields(*fields[:4])
        num_layers = len(geometry.layers)
        first, stop = as_list(fields[7], "layers", 2)
        as_int(stop, "layers stop", 1, num_layers)
        as_int(first, "layers first", 0, stop - 1)
        plan = cls(
            geometry,
            Layout(layout),
            tuple(_placement(v) for v in as_list(fields[5], "prefixes", None, MAX_ENTRIES)),
            tuple(_placement(v) for v in as_list(fields[6], "placements", None, MAX_ENTRIES)),
            LayerRange(first, stop),
        )
        if not plan.placements:
            raise MalformedError("plan: expected at least one fragment")
        check_one_spelling("render plan", data, plan.encoded)
        return plan


def _fields(placement: Placement) -> list[Any]:
    p = placement
    return [bytes(p.fragment_id), p.start, p.seq_len, p.new_start]


def _placement(value: Any) -> Placement:
    raw, start, seq_len, new_start = as_list(value, "placement", 4)
    as_int(start, "start", 0, MAX_POSITION - 1)
    as_int(seq_len, "seq_len", 1, MAX_POSITION - 1 - start)
    as_int(new_start, "new_start", 0, MAX_POSITION - 1 - seq_len)
    return Placement(
        FragmentId(as_bytes(raw, "fragment id", DIGEST_BYTES)), start, seq_len, new_start
    )
