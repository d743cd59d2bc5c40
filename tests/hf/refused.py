"""Models that are refused, each as a tiny one, with the error and the reason that refuse it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoModelForSeq2SeqLM,
    AutoModelForSpeechSeq2Seq,
    PreTrainedModel,
)

from latentcrdt.core.geometry import RopeStyle
from latentcrdt.errors import UnsupportedCacheError, UnsupportedModelError, UnsupportedRopeError
from tests.hf.shift import ShiftErrors, unchecked_errors
from tests.hf.tiny_models import make_model
from tests.hf.variants import HEADS, ROUTED_EXPERTS, SLIDING, SMALL_EXPERTS, THETA, VOCAB_SIZE


def _of(auto: Any, model_type: str, **settings: Any) -> PreTrainedModel:
    config = AutoConfig.for_model(model_type, **settings)
    return auto.from_config(config).eval()


def _sequence_to_sequence(model_type: str, **settings: Any) -> PreTrainedModel:
    special = {"decoder_start_token_id": 0, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    auto = AutoModelForSpeechSeq2Seq if model_type == "whisper" else AutoModelForSeq2SeqLM
    return _of(auto, model_type, vocab_size=VOCAB_SIZE, **special, **settings)


def _vision_language(model_type: str) -> PreTrainedModel:
    vision = {"depth": 1, "embed_dim": 32, "hidden_size": 32, "num_heads": 2}
    text = {"vocab_size": VOCAB_SIZE, "hidden_size": 32, "intermediate_size": 32, **HEADS}
    text |= {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2}
    text["rope_parameters"] = {**THETA, "rope_type": "default", "mrope_section": [2, 3, 3]}
    vision |= {"intermediate_size": 32, "out_hidden_size": 32}
    return _of(AutoModelForImageTextToText, model_type, text_config=text, vision_config=vision)


@dataclass(frozen=True)
class Refused:
    """A model, the error that refuses it, and a part of the reason."""

    name: str
    """Model type and, in brackets, what sets the variant apart."""
    make: Callable[[], PreTrainedModel]
    error: type[UnsupportedModelError]
    reason: str
    rotation: Callable[[PreTrainedModel], ShiftErrors] | None = None
    """Measures what a rotation would leave, where one can be tried."""


def _refused(
    name: str,
    error: type[UnsupportedModelError],
    reason: str,
    rotation: Callable[[PreTrainedModel], ShiftErrors] | None = None,
    **settings: Any,
) -> Refused:
    return Refused(name, partial(make_model, name, **settings), error, reason, rotation)


_NO_ROPE = partial(_refused, error=UnsupportedRopeError, reason="learned, ALiBi and relative")
_BY_NAME = partial(_refused, error=UnsupportedModelError)
_RECURRENT = partial(_refused, error=UnsupportedCacheError, reason="a recurrent state sums up")
_SHARED = partial(_refused, error=UnsupportedCacheError, reason="reads another layer's keys")
_INDEXED = partial(_refused, error=UnsupportedCacheError, reason="indexer keys")

_HALF = partial(unchecked_errors, style=RopeStyle.HALF)

_GPT = {"n_embd": 32, "n_layer": 1, "n_head": 2}

_LATENT_ATTENTION = {"num_key_value_heads": 4, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16} | {
    "v_head_dim": 16,
    "kv_lora_rank": 16,
    "q_lora_rank": 16,
}

_DEEPSEEK = {**_LATENT_ATTENTION, **ROUTED_EXPERTS, "head_dim": 8}

_LONG = {"short_factor": [1.0] * 8, "long_factor": [4.0] * 8}

_LINEAR_HEADS = {"linear_num_key_heads": 2, "linear_num_value_heads": 2} | {
    "linear_key_head_dim": 16,
    "linear_value_head_dim": 16,
}

REFUSED = (
    _NO_ROPE("gpt2", **_GPT),
    _NO_ROPE("gpt_bigcode", **_GPT),
    _NO_ROPE("opt"),
    _NO_ROPE("bloom"),
    _NO_ROPE("mpt"),
    _NO_ROPE("falcon alibi", alibi=True),
    _BY_NAME("gptj", reason="a table of n_positions rows", rotary_dim=8, **_GPT),
    _BY_NAME("codegen", reason="a table of n_positions rows", rotary_dim=8, **_GPT),
    _refused(
        "phi3 longrope",
        UnsupportedRopeError,
        "'longrope' cannot be re-rotated",
        _HALF,  # from below original_max_position_embeddings to above
        original_max_position_embeddings=128,
        rope_parameters={**THETA, "rope_type": "longrope", **_LONG},
    ),
    _refused(
        "llama dynamic",
        UnsupportedRopeError,
        "'dynamic' cannot be re-rotated",
        partial(_HALF, distance=600),  # from below max_position_embeddings to above
        rope_parameters={**THETA, "rope_type": "dynamic", "factor": 2.0},
    ),
    *(
        Refused(name, partial(_vision_language, name), UnsupportedRopeError, "M-RoPE")
        for name in ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
    ),
    _BY_NAME(
        "deepseek_v2",
        reason="multi-head latent attention",
        rotation=partial(unchecked_errors, style=None),
        **_DEEPSEEK,
    ),
    _BY_NAME(
        "deepseek_v3",
        reason="multi-head latent attention",
        rotation=partial(unchecked_errors, style=None),
        **_DEEPSEEK,
    ),
    _BY_NAME("glm4_moe_lite", reason="multi-head latent attention", **_DEEPSEEK),
    _BY_NAME("minicpm3", reason="multi-head latent attention", **_LATENT_ATTENTION),
    _BY_NAME(
        "llama4_text",
        reason="cut the context at fixed positions",
        num_local_experts=4,
        intermediate_size_mlp=64,
        **HEADS,
    ),
    _BY_NAME(
        "ministral3",
        reason="scales queries by absolute position",
        rotation=_HALF,  # into the second step
        rope_parameters={
            **THETA,
            "rope_type": "yarn",
            "factor": 4.0,
            "original_max_position_embeddings": 128,
            "llama_4_scaling_beta": 0.1,
        },
        **HEADS,
    ),
    _BY_NAME("hunyuan_v1_dense", reason="after turning it", rotation=_HALF, **HEADS),
    _BY_NAME("hunyuan_v1_moe", reason="after turning it", num_experts=4, moe_topk=2, **HEADS),
    _BY_NAME("nanochat", reason="negative angle", rotation=_HALF),
    _SHARED(
        "gemma3n_text",
        **HEADS,
        layer_types=SLIDING,
        intermediate_size=[64] * 4,
        activation_sparsity_pattern=[0.0] * 4,
        num_kv_shared_layers=2,
        vocab_size_per_layer_input=VOCAB_SIZE,
        hidden_size_per_layer_input=16,
        laurel_rank=8,
    ),
    _SHARED(
        "gemma4_text shared keys",
        **HEADS,
        layer_types=SLIDING,
        num_kv_shared_layers=2,
        vocab_size_per_layer_input=VOCAB_SIZE,
        hidden_size_per_layer_input=16,
    ),
    _INDEXED("deepseek_v32", **_DEEPSEEK),
    _INDEXED("glm_moe_dsa", **_DEEPSEEK),
    _RECURRENT("mamba", state_size=4),
    _RECURRENT("falcon_mamba", state_size=4),
    _RECURRENT("recurrent_gemma", lru_width=64),
    _refused("rwkv", UnsupportedModelError, "a recurrent state sums up", attention_hidden_size=64),
    _RECURRENT("bamba", attn_layer_indices=[1, 3], mamba_n_heads=8, mamba_d_state=16),
    _RECURRENT("falcon_h1"),
    _RECURRENT("granitemoehybrid"),
    _RECURRENT("jamba", num_experts=4),
    _RECURRENT("kimi_linear", **_DEEPSEEK, num_experts=4),
    _RECURRENT("lfm2", layer_types=["conv", "full_attention"] * 2),
    _RECURRENT("minimax"),
    _RECURRENT("nemotron_h"),
    _RECURRENT("olmo_hybrid"),
    _RECURRENT("qwen3_5_text", **HEADS, **_LINEAR_HEADS),
    _RECURRENT("qwen3_next", **HEADS, **SMALL_EXPERTS, **_LINEAR_HEADS),
    *(
        Refused(
            name,
            partial(_sequence_to_sequence, name, **settings),
            UnsupportedModelError,
            "encoder-decoder",
        )
        for name, settings in {
            "t5": {"d_model": 32, "d_kv": 16, "d_ff": 32, "num_layers": 1, "num_heads": 2},
            "bart": {"d_model": 32, "encoder_layers": 1, "decoder_layers": 1},
            "whisper": {
                "d_model": 32,
                "encoder_layers": 1,
                "decoder_layers": 1,
                "encoder_attention_heads": 2,
                "decoder_attention_heads": 2,
            },
        }.items()
    ),
)
