"""From a transformers model to rope descriptors (RENDER_SPEC section 2).

Descriptors come from the configuration, never from the live model, whose inv_freq bits depend on
the CPU. But the live values made the keys, so they are compared: a buffer that was rounded to bf16
turns keys 30 % and more wrongly a few thousand positions on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from latentcrdt.core.geometry import RopeDescriptor
from latentcrdt.errors import UnsupportedRopeError
from latentcrdt.hf.families import family_of
from latentcrdt.render.inv_freq import rope_descriptor

MAX_ULP = 4
"""How far, in units of the last place, a live inv_freq may lie from the canonical one."""

LENGTH_DEPENDENT = {
    "dynamic": "its frequencies change once a sequence outgrows max_position_embeddings",
    "longrope": "its frequencies change at original_max_position_embeddings",
}
"""Rope types refused at any length.

RENDER_SPEC 2 allows them while the rendered length stays on one side of the threshold. No fragment
knows how long a render it will be part of, so that would have to be refused at decode time, after
the work was done: refused at capture instead.
"""

LayerType = str | None
"""The key of a layer's rope in the configuration; None where all layers share one."""


def rope_descriptors(model: nn.Module, config: Any) -> dict[LayerType, RopeDescriptor]:
    """Return the model's rope descriptors by layer type, checked against its live values.

    ``config`` is the model's text configuration. Raises UnsupportedRopeError, naming the reason,
    for positions that cannot be moved, and UnsupportedModelError for an unknown family.
    """
    parameters = _rope_parameters(config)
    rotary = _rotary_module(model)
    if hasattr(rotary, "mrope_section") or any("mrope_section" in p for p in parameters.values()):
        raise UnsupportedRopeError(
            f"{config.model_type}: M-RoPE cannot be re-rotated: its positions are triples (time, "
            f"height, width), those of a fragment single numbers",
            rope_type="mrope",
        )
    style = family_of(config.model_type).style
    descriptors = {}
    for layer_type, entry in parameters.items():
        descriptor = rope_descriptor(
            entry,
            head_dim=_head_dim(config, layer_type),
            style=style,
            max_position_embeddings=config.max_position_embeddings,
        )
        name = "inv_freq" if layer_type is None else f"{layer_type}_inv_freq"
        _check_live(f"{config.model_type}, {name}", getattr(rotary, name, None), descriptor)
        descriptors[layer_type] = descriptor
    return descriptors


def rope_of_layer(
    config: Any, descriptors: Mapping[LayerType, RopeDescriptor], layer: int
) -> RopeDescriptor | None:
    """Return a layer's descriptor, or None where the family leaves its keys unrotated."""
    if not family_of(config.model_type).rotates(config, layer):
        return None
    return descriptors[None if None in descriptors else config.layer_types[layer]]


def _rope_parameters(config: Any) -> dict[LayerType, Mapping[str, Any]]:
    parameters = getattr(config, "rope_parameters", None)
    if not parameters or getattr(config, "alibi", False):  # Falcon has either
        raise UnsupportedRopeError(
            f"{config.model_type}: expected rotary positions, got none in the configuration; "
            f"learned, ALiBi and relative positions cannot be moved",
            model_type=config.model_type,
        )
    if "rope_theta" in parameters:
        by_type: dict[LayerType, Mapping[str, Any]] = {None: parameters}
    else:
        by_type = {layer_type: parameters[layer_type] for layer_type in set(config.layer_types)}
    for entry in by_type.values():
        rope_type = entry.get("rope_type")
        if rope_type in LENGTH_DEPENDENT:
            raise UnsupportedRopeError(
                f"{config.model_type}: rope type {rope_type!r} cannot be re-rotated: "
                f"{LENGTH_DEPENDENT[rope_type]}",
                rope_type=rope_type,
            )
    return by_type


def _rotary_module(model: nn.Module) -> nn.Module | None:
    """Return the module that all layers share, as in every family of the table."""
    named = (module for name, module in model.named_modules() if name.endswith("rotary_emb"))
    return next(named, None)


def _check_live(name: str, live: Any, descriptor: RopeDescriptor) -> None:
    if not isinstance(live, torch.Tensor):
        raise UnsupportedRopeError(f"{name}: expected a live buffer to check, found none")
    if live.dtype != torch.float32:
        raise UnsupportedRopeError(
            f"{name}: expected float32, got {live.dtype}: model.to(dtype), .half() and .bfloat16() "
            f"round it; load with from_pretrained(..., dtype={live.dtype}), which does not",
            dtype=str(live.dtype),
        )
    expected = np.frombuffer(descriptor.inv_freq, dtype="<f4")
    actual = live.detach().cpu().numpy()
    if actual.shape != expected.shape:
        raise UnsupportedRopeError(
            f"{name}: expected {expected.size} frequencies by the configuration, got {actual.size}"
        )
    # Frequencies are not negative, so their bits, as integers, count units in the last place.
    bits = expected.astype(np.float32).view(np.int32).astype(np.int64)
    distance = int(np.abs(actual.view(np.int32) - bits).max())
    if distance > MAX_ULP:
        raise UnsupportedRopeError(
            f"{name}: expected values within {MAX_ULP} ulp of those of the configuration, got "
            f"{distance} ulp: were they rounded by model.to(dtype)? Load with "
            f"from_pretrained(..., dtype=...), which leaves them alone",
            ulp=distance,
        )


def _head_dim(config: Any, layer_type: LayerType) -> int:
    if layer_type is not None:  # the heads of Gemma 4 are wider in its full layers
        config = config.per_layer_config[layer_type]
    return int(
        getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    )
