"""From a render to the cache that transformers decodes from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicSlidingWindowLayer

from latentcrdt.core.geometry import Geometry
from latentcrdt.core.plan import LayerRange
from latentcrdt.core.rendered import Render
from latentcrdt.errors import ModelMismatchError
from latentcrdt.hf.contract import ModelContract
from latentcrdt.hf.layers import new_cache, plain_layers
from latentcrdt.hf.tensors import from_bytes


def load_cache(render: Render, model: PreTrainedModel) -> DynamicCache:
    """Return a transformers Cache with the render's keys and values, on the model's device.

    It is a copy: decoding grows it and leaves the render as it is. It holds
    ``render.plan.num_tokens`` tokens, and the next one belongs at ``render.plan.next_position``,
    which is another number for layouts with gaps or overlaps: `decode_inputs` and `generate` pass
    both on. Raises ModelMismatchError unless this very model, in this dtype, made the fragments.
    """
    geometry = render.plan.geometry
    check_geometry(geometry, ModelContract.of(model).geometry, f"render {render.plan.render_id}")
    num_layers = len(geometry.layers)
    if render.plan.layers != LayerRange(0, num_layers):
        raise ModelMismatchError(
            f"render {render.plan.render_id}: expected all {num_layers} layers, got layers "
            f"{render.plan.layers.first} to {render.plan.layers.stop - 1}"
        )
    layers = []
    for i, spec in enumerate(geometry.layers):
        rows = render.plan.num_rows(i)
        key_shape = (1, spec.num_kv_heads, rows, spec.key_dim)
        value_shape = (1, spec.num_kv_heads, rows, spec.value_dim)
        keys = from_bytes(render.keys(i), geometry.dtype, key_shape, model.device)
        values = from_bytes(render.values(i), geometry.dtype, value_shape, model.device)
        layers.append((keys, values))
    return cache_of(model, layers, render.plan.num_tokens)


def cache_of(
    model: PreTrainedModel, layers: Sequence[tuple[torch.Tensor, torch.Tensor]], num_tokens: int
) -> DynamicCache:
    """Return a cache of these keys and values ``[1, H, T_l, D]``, which it takes over.

    A sliding layer is given as many of the ``num_tokens`` rows as it keeps.
    """
    cache = new_cache(model)
    for layer, (keys, values) in zip(plain_layers(cache), layers, strict=True):
        # A layer that is not initialised would drop its rows, silently, at the first update.
        layer.lazy_initialization(keys, values)
        layer.keys, layer.values = keys, values
        if isinstance(layer, DynamicSlidingWindowLayer):
            layer.cumulative_length = num_tokens
    return cache


def check_geometry(actual: Geometry, expected: Geometry, what: str) -> None:
    """Raise ModelMismatchError, naming the first difference, unless the geometries are equal."""
    for part in ("model_id", "dtype", "ropes", "layers"):
        got, wanted = getattr(actual, part), getattr(expected, part)
        if got != wanted:
            raise ModelMismatchError(
                f"{what}: expected the {part} of this model, {wanted!s:.200}, got {got!s:.200}",
                part=part,
            )
