"""The model families whose keys are known to re-rotate, and how each pairs its dimensions.

An explicit table: a family that is not in it is refused, and one that is in it is still checked on
the live model (`self_test`). To add a family: its model type here, a tiny model in
tests/hf/tiny_models.py, and the oracle tests run on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from latentcrdt.core.geometry import RopeStyle
from latentcrdt.errors import UnsupportedModelError


def _all_rotate(_config: Any, _layer: int) -> bool:
    return True


def _unless_no_rope(config: Any, layer: int) -> bool:
    return bool(config.no_rope_layers[layer])


def _only_sliding(config: Any, layer: int) -> bool:
    return bool(config.layer_types[layer] == "sliding_attention")


@dataclass(frozen=True, slots=True)
class Family:
    """What a configuration does not say about a family's rotary positions."""

    style: RopeStyle
    rotates: Callable[[Any, int], bool] = _all_rotate
    """Whether a layer, by its text configuration and index, rotates its keys at all."""


_HALF = Family(RopeStyle.HALF)
_INTERLEAVED = Family(RopeStyle.INTERLEAVED)

FAMILIES = {
    "cohere": _INTERLEAVED,
    "cohere2": Family(RopeStyle.INTERLEAVED, _only_sliding),
    "gemma": _HALF,
    "gemma2": _HALF,
    "gemma3_text": _HALF,
    "glm": _INTERLEAVED,
    "glm4": _INTERLEAVED,
    "gpt_neox": _HALF,
    "granite": _HALF,
    "llama": _HALF,
    "mistral": _HALF,
    "mixtral": _HALF,
    "olmo2": _HALF,
    "phi": _HALF,
    "phi3": _HALF,
    "qwen2": _HALF,
    "qwen3": _HALF,
    "qwen3_moe": _HALF,
    "smollm3": Family(RopeStyle.HALF, _unless_no_rope),
    "stablelm": _HALF,
    "starcoder2": _HALF,
}
"""By ``model_type`` of the text configuration."""


def family_of(model_type: str) -> Family:
    """Return the family of this model type, or raise UnsupportedModelError."""
    if model_type not in FAMILIES:
        expected = ", ".join(FAMILIES)
        raise UnsupportedModelError(
            f"model type {model_type!r}: not among the families whose keys are known to re-rotate "
            f"({expected}); latentcrdt/hf/families.py says how to add one",
            model_type=model_type,
        )
    return FAMILIES[model_type]
