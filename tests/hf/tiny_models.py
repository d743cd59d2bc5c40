"""Tiny random models of every family, from fixed seeds: a few thousand parameters each."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

VOCAB_SIZE = 97

COMMON: dict[str, Any] = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}

THETA = {"rope_theta": 10000.0}

SLIDING = ["sliding_attention", "full_attention"] * 2

VARIANTS: dict[str, dict[str, Any]] = {
    "cohere": {},
    "cohere2": {"sliding_window": 6, "layer_types": SLIDING},
    "gemma": {"head_dim": 16},
    "gemma2": {"head_dim": 16, "sliding_window": 6, "layer_types": SLIDING},
    "gemma3_text": {
        "head_dim": 16,
        "sliding_window": 6,
        "layer_types": SLIDING,
        "rope_parameters": {
            "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
            "full_attention": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 8.0},
        },
    },
    "glm": {"head_dim": 16},
    "glm4": {"head_dim": 16},
    "gpt_neox": {},
    "granite": {},
    "llama": {},
    "llama linear": {"rope_parameters": {**THETA, "rope_type": "linear", "factor": 4.0}},
    "llama llama3": {
        "rope_parameters": {
            **THETA,
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 128,
        }
    },
    "llama yarn": {
        "rope_parameters": {
            **THETA,
            "rope_type": "yarn",
            "factor": 4.0,
            "original_max_position_embeddings": 128,
        }
    },
    "mistral": {"sliding_window": None},
    "mistral sliding": {"sliding_window": 6},
    "mixtral": {"num_local_experts": 4},
    "olmo2": {},
    "phi": {},
    "phi3": {},
    "qwen2": {},
    "qwen3": {"head_dim": 16},
    "qwen3_moe": {"head_dim": 16, "num_experts": 4, "num_experts_per_tok": 2},
    "smollm3": {"no_rope_layers": [1, 1, 0, 1]},
    "stablelm": {},
    "starcoder2": {},
}
"""By model type, and what sets this variant apart."""


def make_model(
    variant: str, *, dtype: torch.dtype = torch.float32, seed: int = 0, **changes: Any
) -> PreTrainedModel:
    """Return a random model of this variant in evaluation mode; equal seeds give equal weights."""
    settings = {**COMMON, **VARIANTS.get(variant, {}), **changes}
    config = AutoConfig.for_model(variant.partition(" ")[0], **settings)
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    with torch.no_grad():
        for parameter in model.parameters():  # far enough from 0 for attention to matter
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()
