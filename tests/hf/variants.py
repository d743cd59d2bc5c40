"""Every model family of the table, as the least that a tiny model of it has to be told.

A variant is named by its model type and, after a space, what sets it apart from that family's other
ones. `tiny_models.make_model` makes a random model of it.
"""

from __future__ import annotations

from typing import Any

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
"""What all variants share; families that have no such key ignore it."""

THETA = {"rope_theta": 10000.0}

SLIDING = ["sliding_attention", "full_attention"] * 2

HEADS = {"head_dim": 16}
"""For families that do not derive it from the hidden size."""

ALTERNATING = {**HEADS, "sliding_window": 6, "layer_types": SLIDING}

EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2}

SMALL_EXPERTS = {**EXPERTS, "moe_intermediate_size": 32}

ROUTED_EXPERTS = {**HEADS, "num_experts_per_tok": 2, "moe_intermediate_size": 32} | {
    "n_routed_experts": 4,
    "n_shared_experts": 1,
    "n_group": 1,
    "topk_group": 1,
}

VARIANTS: dict[str, dict[str, Any]] = {
    "afmoe": {**ALTERNATING, **SMALL_EXPERTS, "num_dense_layers": 1},
    "apertus": {},
    "arcee": {},
    "bitnet": {},
    "cohere": {},
    "cohere2": {"sliding_window": 6, "layer_types": SLIDING},
    "cwm": ALTERNATING,
    "diffllama": {},
    "dots1": ROUTED_EXPERTS,
    "ernie4_5": HEADS,
    "ernie4_5_moe": {"moe_num_experts": 4, "moe_k": 2, "moe_intermediate_size": 32},
    "exaone4": {"sliding_window": 6, "layer_types": SLIDING},
    "exaone4 full": {"sliding_window": None, "layer_types": ["full_attention"] * 4},
    "exaone_moe": {**ALTERNATING, **SMALL_EXPERTS, "num_shared_experts": 1},
    "falcon": {},
    "flex_olmo": EXPERTS,
    "gemma": HEADS,
    "gemma2": ALTERNATING,
    "gemma3_text": {
        **ALTERNATING,
        "rope_parameters": {
            "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
            "full_attention": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 8.0},
        },
    },
    "gemma4_text": {
        **ALTERNATING,
        "global_head_dim": 32,
        "num_global_key_value_heads": 1,
        "attention_k_eq_v": True,
        "num_kv_shared_layers": 0,
        "hidden_size_per_layer_input": 16,
        "vocab_size_per_layer_input": VOCAB_SIZE,
    },
    "glm": HEADS,
    "glm4": HEADS,
    "glm4_moe": ROUTED_EXPERTS,
    "gpt_neox": {},
    "gpt_oss": {**ALTERNATING, "num_local_experts": 4, "num_experts_per_tok": 2},
    "granite": {},
    "granitemoe": {"num_local_experts": 4},
    "granitemoeshared": {"num_local_experts": 4, "shared_intermediate_size": 32},
    "helium": HEADS,
    "hy_v3": {**HEADS, **SMALL_EXPERTS},
    "hyperclovax": {},
    "jais2": {},
    "jetmoe": {"kv_channels": 16, "num_local_experts": 4},
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
    "mimo_v2_flash": {
        **HEADS,
        **ROUTED_EXPERTS,
        "layer_types": SLIDING,
        "sliding_window": 6,
        "v_head_dim": 8,
    },
    "minimax_m2": {**HEADS, "rotary_dim": 8, "num_local_experts": 4, "num_experts_per_tok": 2},
    "ministral": ALTERNATING,
    "mistral": {"sliding_window": None},
    "mistral sliding": {"sliding_window": 6},
    "mixtral": {"num_local_experts": 4},
    "nemotron": {},
    "olmo": {},
    "olmo2": {},
    "olmo3": {"sliding_window": 6, "layer_types": SLIDING},
    "olmoe": EXPERTS,
    "persimmon": {},
    "phi": {},
    "phi3": {},
    "phimoe": {"num_local_experts": 4},
    "qwen2": {},
    "qwen2 sliding": {"use_sliding_window": True, "sliding_window": 6, "layer_types": SLIDING},
    "qwen2_moe": {**SMALL_EXPERTS, "shared_expert_intermediate_size": 32},
    "qwen3": HEADS,
    "qwen3_moe": {**HEADS, **SMALL_EXPERTS},
    "seed_oss": HEADS,
    "smollm3": {"no_rope_layers": [1, 1, 0, 1]},
    "solar_open": ROUTED_EXPERTS,
    "stablelm": {},
    "starcoder2": {},
    "vaultgemma": ALTERNATING,
}
