"""ModelContract: what a live model's fragments look like, and the proof that they can be moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from transformers import PreTrainedModel

from latentcrdt.core.geometry import Geometry, LayerSpec, RopeDescriptor
from latentcrdt.errors import UnsupportedCacheError, UnsupportedModelError
from latentcrdt.hf.families import refuse_unmovable
from latentcrdt.hf.layers import new_cache, plain_layers, window_of
from latentcrdt.hf.model_id import Fingerprint, fingerprint, model_id
from latentcrdt.hf.prefill import prefill
from latentcrdt.hf.rope import rope_descriptors, rope_of_layer
from latentcrdt.hf.self_test import OFFSET, ShiftReport, check_shift
from latentcrdt.hf.tensors import dtype_of
from latentcrdt.hf.tokens import vocab_size_of

PROBE_TOKENS = 8
"""Tokens of the self-test: enough for attention to mix, few enough to cost milliseconds."""

KeysAndValues = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, slots=True)
class ModelContract:
    """The geometry of a model's fragments, and the evidence that its keys re-rotate."""

    name: str
    """The model type of its text configuration, such as ``llama``."""
    geometry: Geometry
    evidence: ShiftReport
    """How closely the live model passed the shift-equivariance self-test."""

    @classmethod
    def of(cls, model: PreTrainedModel) -> ModelContract:
        """Return the contract of a live model; the self-test runs once for each instance.

        It runs again when a parameter or buffer was replaced, converted or written to since. Raises
        UnsupportedModelError or one of its leaves, naming what cannot be re-positioned and why.
        """
        mark = fingerprint(model)
        known = _contracts.get(model)
        if known is None or known[0] != mark:
            known = _contracts[model] = (mark, cls._examine(model))
        return known[1]

    @classmethod
    def _examine(cls, model: PreTrainedModel) -> ModelContract:
        config = model.config.get_text_config(decoder=True)
        refuse_unmovable(config.model_type)
        _refuse_other_state(model)
        # Asked first, so that a recurrent layer is named before its missing rope is noticed.
        windows = [window_of(layer) for layer in plain_layers(new_cache(model))]
        descriptors = rope_descriptors(model, config)
        near, far = _probe(model, 0), _probe(model, OFFSET)
        ropes = [rope_of_layer(config, descriptors, layer) for layer in range(len(near))]
        distinct = list(dict.fromkeys(rope for rope in ropes if rope is not None))
        geometry = Geometry(
            model_id(model, config.model_type),
            dtype_of(near[0][0]),
            tuple(distinct),
            _specs(near, ropes, distinct, windows),
        )
        report = check_shift(geometry, near, far)
        return cls(config.model_type, geometry, report)


_contracts: WeakKeyDictionary[PreTrainedModel, tuple[Fingerprint, ModelContract]] = (
    WeakKeyDictionary()
)


def _refuse_other_state(model: PreTrainedModel) -> None:
    """Refuse models that keep, beside or instead of plain self-attention K and V, other state."""
    name = model.config.model_type
    if model.config.is_encoder_decoder:
        raise UnsupportedModelError(
            f"{name}: encoder-decoder models attend to an encoder's states, which no fragment holds"
        )
    generation = getattr(model, "generation_config", None)
    if getattr(generation, "cache_implementation", None) == "quantized":
        raise UnsupportedCacheError(
            f"{name}: its generation_config asks for a quantized cache; quantised keys are rounded "
            f"in blocks and cannot be rotated: set cache_implementation to None",
            kind="quantized",
        )


def _probe(model: PreTrainedModel, position: int) -> list[KeysAndValues]:
    """Return each layer's keys and values ``[1, H, T, D]`` of a few tokens placed here."""
    token_ids = [(1 + 7 * i) % vocab_size_of(model) for i in range(PROBE_TOKENS)]
    cache = new_cache(model)
    prefill(model, token_ids, position=position, cache=cache)
    pairs = []
    for i, layer in enumerate(plain_layers(cache)):
        if layer.keys is None or layer.values is None:
            raise UnsupportedCacheError(
                f"{model.config.model_type}, layer {i}: expected keys after a forward pass, got "
                f"none: the layer keeps its state elsewhere",
                layer=i,
            )
        pairs.append((layer.keys, layer.values))
    return pairs


def _specs(
    pairs: Sequence[KeysAndValues],
    ropes: Sequence[RopeDescriptor | None],
    distinct: Sequence[RopeDescriptor],
    windows: Sequence[int | None],
) -> tuple[LayerSpec, ...]:
    return tuple(
        LayerSpec(
            num_kv_heads=keys.shape[1],
            key_dim=keys.shape[3],
            value_dim=values.shape[3],
            rope=None if rope is None else distinct.index(rope),
            window=window,
        )
        for (keys, values), rope, window in zip(pairs, ropes, windows, strict=True)
    )
