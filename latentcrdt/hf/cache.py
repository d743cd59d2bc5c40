"""From a render to the cache that transformers decodes from."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicSlidingWindowLayer

from latentcrdt.core.geometry import Geometry
from latentcrdt.core.plan import LayerRange
from latentcrdt.core.rendered import LayeredRender, Render
from latentcrdt.errors import ModelMismatchError
from latentcrdt.hf.arriving import arriving_layer
from latentcrdt.hf.contract import ModelContract
from latentcrdt.hf.layers import new_cache, plain_layers
from latentcrdt.hf.tensors import TORCH_DTYPES, from_bytes


def load_cache(render: LayeredRender, model: PreTrainedModel) -> DynamicCache:
    """Return a transformers Cache with the render's keys and values, on the model's device.

    It is a copy: decoding grows it and leaves the render as it is. It holds
    ``render.plan.num_tokens`` tokens, and the next one belongs at ``render.plan.next_position``,
    which is another number for layouts with gaps or overlaps: `decode_inputs` and `generate` pass
    both on. Raises ModelMismatchError unless this very model, in this dtype, made the fragments.

    A `Render` is copied at once. Of any other, such as one that still arrives
    (`Client.render_layers`), each layer is copied when the model comes to it: it waits there, and
    raises there what kept the layer from coming.
    """
    plan, geometry = render.plan, render.plan.geometry
    check_geometry(geometry, ModelContract.of(model).geometry, f"render {plan.render_id}")
    num_layers = len(geometry.layers)
    if plan.layers != LayerRange(0, num_layers):
        raise ModelMismatchError(
            f"render {plan.render_id}: expected all {num_layers} layers, got layers "
            f"{plan.layers.first} to {plan.layers.stop - 1}"
        )
    if isinstance(render, Render):
        layers = [_take(render, i, model.device) for i in range(num_layers)]
        return cache_of(model, layers, plan.num_tokens)
    cache = new_cache(model)
    like = torch.empty(0, dtype=TORCH_DTYPES[geometry.dtype], device=model.device)
    for i, kind in enumerate(plain_layers(cache)):
        layer = arriving_layer(
            kind, plan.num_rows(i), like, partial(_take, render, i, model.device)
        )
        if isinstance(layer, DynamicSlidingWindowLayer):
            layer.cumulative_length = plan.num_tokens
        cache.layers[i] = layer
    return cache


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


def _take(
    render: LayeredRender, index: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return copies of a layer's keys and values ``[1, H, T, D]``."""
    geometry, rows = render.plan.geometry, render.plan.num_rows(index)
    spec = geometry.layers[index]
    keys, values = render.keys(index), render.values(index)
    return (
        from_bytes(keys, geometry.dtype, (1, spec.num_kv_heads, rows, spec.key_dim), device),
        from_bytes(values, geometry.dtype, (1, spec.num_kv_heads, rows, spec.value_dim), device),
    )


def check_geometry(actual: Geometry, expected: Geometry, what: str) -> None:
    """Raise ModelMismatchError, naming the first difference, unless the geometries are equal."""
    for part in ("model_id", "dtype", "ropes", "layers"):
        got, wanted = getattr(actual, part), getattr(expected, part)
        if got != wanted:
            raise ModelMismatchError(
                f"{what}: expected the {part} of this model, {wanted!s:.200}, got {got!s:.200}",
                part=part,
            )
