"""The model families whose keys are known to re-rotate, and how each pairs its dimensions.

Two explicit tables, by ``model_type`` of the text configuration: FAMILIES are accepted, and still
checked on the live model (`self_test`); UNMOVABLE are refused with a reason that no few tokens
would show. What is in neither is refused as unknown.

To add a family: its model type here, a tiny model in tests/hf/variants.py, and the oracle tests run
on it. Read its attention code first: whatever looks at absolute positions, other than the rotation
of queries and keys, belongs into UNMOVABLE.
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


def _only_sliding_if_any(config: Any, layer: int) -> bool:
    return config.sliding_window is None or _only_sliding(config, layer)


@dataclass(frozen=True, slots=True)
class Family:
    """What a configuration does not say about a family's rotary positions."""

    style: RopeStyle
    rotates: Callable[[Any, int], bool] = _all_rotate
    """Whether a layer, by its text configuration and index, rotates its keys at all."""


_HALF = Family(RopeStyle.HALF)
_INTERLEAVED = Family(RopeStyle.INTERLEAVED)
_HALF_IF_SLIDING = Family(RopeStyle.HALF, _only_sliding_if_any)

FAMILIES = {
    "afmoe": Family(RopeStyle.HALF, _only_sliding),
    "apertus": _HALF,
    "arcee": _HALF,
    "bitnet": _HALF,
    "cohere": _INTERLEAVED,
    "cohere2": Family(RopeStyle.INTERLEAVED, _only_sliding),
    "cwm": _HALF,
    "diffllama": _HALF,
    "dots1": _HALF,
    "ernie4_5": _INTERLEAVED,
    "ernie4_5_moe": _INTERLEAVED,
    "exaone4": _HALF_IF_SLIDING,
    "exaone_moe": _HALF_IF_SLIDING,
    "falcon": _HALF,
    "flex_olmo": _HALF,
    "gemma": _HALF,
    "gemma2": _HALF,
    "gemma3_text": _HALF,
    "gemma4_text": _HALF,
    "glm": _INTERLEAVED,
    "glm4": _INTERLEAVED,
    "glm4_moe": _HALF,
    "gpt_neox": _HALF,
    "gpt_oss": _HALF,
    "granite": _HALF,
    "granitemoe": _HALF,
    "granitemoeshared": _HALF,
    "helium": _INTERLEAVED,
    "hy_v3": _HALF,
    "hyperclovax": _HALF,
    "jais2": _HALF,
    "jetmoe": _HALF,
    "llama": _HALF,
    "mimo_v2_flash": _HALF,
    "minimax_m2": _HALF,
    "ministral": _HALF,
    "mistral": _HALF,
    "mixtral": _HALF,
    "nemotron": _HALF,
    "olmo": _HALF,
    "olmo2": _HALF,
    "olmo3": _HALF,
    "olmoe": _HALF,
    "persimmon": _HALF,
    "phi": _HALF,
    "phi3": _HALF,
    "phimoe": _HALF,
    "qwen2": _HALF,
    "qwen2_moe": _HALF,
    "qwen3": _HALF,
    "qwen3_moe": _HALF,
    "seed_oss": _HALF,
    "smollm3": Family(RopeStyle.HALF, _unless_no_rope),
    "solar_open": _HALF,
    "stablelm": _HALF,
    "starcoder2": _HALF,
    "vaultgemma": _HALF,
}
"""Families whose keys re-rotate."""

_LATENT_ATTENTION = (
    "multi-head latent attention caches a position-free latent as keys and the rotated part as "
    "values, and a render turns keys alone"
)
_NORM_AFTER_ROTATION = (
    "it weighs each dimension of a key after turning it, so that what a token attends to depends "
    "on where the sequence starts"
)
_TABLE_OF_POSITIONS = (
    "its angles come from a table of n_positions rows, and its configuration names no frequencies"
)

UNMOVABLE = {
    "codegen": _TABLE_OF_POSITIONS,
    "deepseek_v2": _LATENT_ATTENTION,
    "deepseek_v3": _LATENT_ATTENTION,
    "glm4_moe_lite": _LATENT_ATTENTION,
    "gptj": _TABLE_OF_POSITIONS,
    "hunyuan_v1_dense": _NORM_AFTER_ROTATION,
    "hunyuan_v1_moe": _NORM_AFTER_ROTATION,
    "llama4_text": (
        "its chunked layers cut the context at fixed positions, and its layers without rotary "
        "positions scale queries by absolute position"
    ),
    "minicpm3": _LATENT_ATTENTION,
    "ministral3": (
        "it scales queries by absolute position, in steps of original_max_position_embeddings"
    ),
    "nanochat": "it turns keys by the negative angle, and a descriptor has no negative frequencies",
    "rwkv": "a recurrent state sums up all tokens and cannot be cut into rows",
}
"""Families that are refused, and why.

Some would pass the self-test, whose tokens all lie in the first chunk or the first step.
"""


def refuse_unmovable(model_type: str) -> None:
    """Raise UnsupportedModelError with the reason if this family is known not to re-rotate."""
    if model_type in UNMOVABLE:
        raise UnsupportedModelError(
            f"{model_type}: its cache cannot be re-positioned: {UNMOVABLE[model_type]}",
            model_type=model_type,
        )


def family_of(model_type: str) -> Family:
    """Return the family of this model type, or raise UnsupportedModelError."""
    if model_type not in FAMILIES:
        raise UnsupportedModelError(
            f"model type {model_type!r}: not among the {len(FAMILIES)} families whose keys are "
            f"known to re-rotate (docs/models.md); latentcrdt/hf/families.py says how to add one",
            model_type=model_type,
        )
    return FAMILIES[model_type]
