"""The shape of a fragment: dtype, rope descriptors and layers (RENDER_SPEC sections 1 and 2)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from latentcrdt.core.encoding import as_bytes, as_int, as_list, as_text
from latentcrdt.errors import MalformedError, UnsupportedDtypeError

MAX_POSITION = 2**31
"""Positions and deltas are below this in magnitude (RENDER_SPEC sections 1 and 4)."""

MAX_LAYERS = 4096
"""Layers in one fragment; the deepest published transformers have a few hundred."""

MAX_WIDTH = 65535
"""KV heads of a layer, and dimensions of a head; far above any model, far below overflow."""

MAX_MODEL_ID_BYTES = 256
"""UTF-8 bytes of a model id: a name and a digest."""


class Dtype(StrEnum):
    """Element type of every K and V section of a fragment, little-endian."""

    BF16 = "bf16"
    F16 = "f16"
    F32 = "f32"

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return 4 if self is Dtype.F32 else 2

    @classmethod
    def parse(cls, text: str) -> Dtype:
        """Return the dtype of this name, or raise UnsupportedDtypeError."""
        try:
            return cls(text)
        except ValueError as error:
            expected = ", ".join(cls)
            raise UnsupportedDtypeError(
                f"dtype: expected one of {expected}, got {text!r:.40}", expected=list(cls)
            ) from error


class RopeStyle(StrEnum):
    """Which dimensions form a rotated pair."""

    HALF = "half"
    """(i, i + rotary_dim/2)"""
    INTERLEAVED = "interleaved"
    """(2i, 2i + 1)"""


@dataclass(frozen=True, slots=True)
class RopeDescriptor:
    """Everything the renderer knows of rotary positions (RENDER_SPEC section 2)."""

    style: RopeStyle
    rotary_dim: int
    """Leading dimensions of a head that rotate; even, at most the layer's key_dim."""
    inv_freq: bytes
    """rotary_dim / 2 little-endian binary32 values, each finite and not negative (no -0)."""

    def __post_init__(self) -> None:
        as_int(self.rotary_dim, "rotary_dim", 2, MAX_WIDTH)
        if self.rotary_dim % 2:
            raise MalformedError(f"rotary_dim: expected an even number, got {self.rotary_dim}")
        as_bytes(self.inv_freq, "inv_freq", self.rotary_dim * 2)
        # One unsigned comparison refuses the sign bit, infinity and NaN alike.
        for i, (bits,) in enumerate(struct.iter_unpack("<I", self.inv_freq)):
            if bits >= 0x7F800000:
                raise MalformedError(
                    f"inv_freq[{i}]: expected a finite binary32 >= 0, got bits {bits:#010x}"
                )

    @property
    def frequencies(self) -> tuple[float, ...]:
        """The rotary_dim / 2 frequencies, radians per token; binary32 values held exactly."""
        return struct.unpack(f"<{self.rotary_dim // 2}f", self.inv_freq)

    def fields(self) -> list[Any]:
        """Return the fixed positions of this descriptor in a canonical encoding."""
        return [str(self.style), self.rotary_dim, self.inv_freq]

    @classmethod
    def from_fields(cls, value: Any) -> RopeDescriptor:
        """Read back what ``fields`` wrote."""
        style, rotary_dim, inv_freq = as_list(value, "rope descriptor", 3)
        if style not in list(RopeStyle):
            raise MalformedError(
                f"rope style: expected one of {list(RopeStyle)}, got {style!r:.40}"
            )
        return cls(RopeStyle(style), rotary_dim, inv_freq)


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """One layer's K and V, apart from the number of rows."""

    num_kv_heads: int
    key_dim: int
    value_dim: int
    rope: int | None
    """Index of the layer's rope descriptor, or None for a layer without rotary positions."""
    window: int | None = None
    """None: a full layer. w: a sliding layer, which keeps its last w - 1 rows."""

    def __post_init__(self) -> None:
        as_int(self.num_kv_heads, "num_kv_heads", 1, MAX_WIDTH)
        as_int(self.key_dim, "key_dim", 1, MAX_WIDTH)
        as_int(self.value_dim, "value_dim", 1, MAX_WIDTH)
        if self.window is not None:
            as_int(self.window, "window", 2, MAX_POSITION - 1)

    @property
    def kind(self) -> str:
        """``full`` or ``sliding``."""
        return "full" if self.window is None else "sliding"

    def rows(self, seq_len: int) -> int:
        """Return how many of the last ``seq_len`` tokens this layer keeps."""
        return seq_len if self.window is None else min(seq_len, self.window - 1)

    def fields(self) -> list[Any]:
        """Return the fixed positions of this layer in a canonical encoding."""
        return [self.kind, self.window, self.num_kv_heads, self.key_dim, self.value_dim, self.rope]

    @classmethod
    def from_fields(cls, value: Any) -> LayerSpec:
        """Read back what ``fields`` wrote; whoever calls compares the canonical bytes."""
        kind, window, num_kv_heads, key_dim, value_dim, rope = as_list(value, "layer", 6)
        if kind not in ("full", "sliding") or (kind == "full") != (window is None):
            raise MalformedError(
                f"layer kind: expected 'full' without or 'sliding' with a window, "
                f"got {kind!r:.40} with {window!r:.40}"
            )
        return cls(num_kv_heads, key_dim, value_dim, rope, window)


@dataclass(frozen=True, slots=True)
class Geometry:
    """What a model's fragments have in common: everything a compatibility class compares."""

    model_id: str
    """Name and digest of the model (`latentcrdt.hf.ModelContract` makes it)."""
    dtype: Dtype
    ropes: tuple[RopeDescriptor, ...]
    """Distinct, in the order in which the layers first use them: so there is one spelling."""
    layers: tuple[LayerSpec, ...]

    def __post_init__(self) -> None:
        as_text(self.model_id, "model_id", MAX_MODEL_ID_BYTES)
        if not 1 <= len(self.layers) <= MAX_LAYERS:
            raise MalformedError(f"expected 1 to {MAX_LAYERS} layers, got {len(self.layers)}")
        if len(set(self.ropes)) != len(self.ropes):
            raise MalformedError("rope descriptors: expected distinct ones, got a repetition")
        used: dict[int, None] = {}
        for i, layer in enumerate(self.layers):
            if layer.rope is None:
                continue
            as_int(layer.rope, f"layer {i}: rope index", 0, len(self.ropes) - 1)
            used[layer.rope] = None
            if self.ropes[layer.rope].rotary_dim > layer.key_dim:
                raise MalformedError(
                    f"layer {i}: rotary_dim {self.ropes[layer.rope].rotary_dim} exceeds "
                    f"key_dim {layer.key_dim}"
                )
        if list(used) != list(range(len(self.ropes))):
            raise MalformedError("rope descriptors: expected each one used, in order of first use")

    @property
    def key_layer(self) -> int:
        """The layer whose K gives the sort key (RENDER_SPEC section 3)."""
        full = [i for i, layer in enumerate(self.layers) if layer.window is None]
        candidates = full or list(range(len(self.layers)))
        return candidates[len(candidates) // 2]

    def rope_of(self, layer: int) -> RopeDescriptor | None:
        """Return the rope descriptor of a layer, or None where its keys do not rotate."""
        index = self.layers[layer].rope
        return None if index is None else self.ropes[index]

    def key_row_bytes(self, layer: int) -> int:
        """Return the bytes of one head's K at one token."""
        return self.layers[layer].key_dim * self.dtype.itemsize

    def value_row_bytes(self, layer: int) -> int:
        """Return the bytes of one head's V at one token."""
        return self.layers[layer].value_dim * self.dtype.itemsize

    def fields(self) -> list[Any]:
        """Return the fixed positions of this geometry in a canonical encoding."""
        return [
            self.model_id,
            str(self.dtype),
            [rope.fields() for rope in self.ropes],
            [layer.fields() for layer in self.layers],
        ]

    @classmethod
    def from_fields(cls, model_id: Any, dtype: Any, ropes: Any, layers: Any) -> Geometry:
        """Read back what ``fields`` wrote."""
        return cls(
            as_text(model_id, "model_id", MAX_MODEL_ID_BYTES),
            Dtype.parse(as_text(dtype, "dtype", 16)),
            tuple(RopeDescriptor.from_fields(v) for v in as_list(ropes, "ropes", None, MAX_LAYERS)),
            tuple(LayerSpec.from_fields(v) for v in as_list(layers, "layers", None, MAX_LAYERS)),
        )
