"""The architecture of the reference model: Qwen3, as small as learns the benchmark.

Qwen3 rather than Llama, because its normalised queries and keys let attention become sharp early.
"""

from __future__ import annotations

from transformers import Qwen3Config

from latentcrdt.evals.reference.tokenizer import BOS_ID, EOS_ID, PADDING_ID


def reference_config(vocab_size: int) -> Qwen3Config:
    """Return the configuration.

    The embeddings are untied, so that realignment of latent steps has something to do. The context
    is far longer than any prompt, so that several agents' texts and latent steps fit behind each
    other. Weights start at about 1 / sqrt(128), where a layer's output has the
    scale of its input.
    """
    return Qwen3Config(
        vocab_size=vocab_size,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=32,
        max_position_embeddings=1024,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
        tie_word_embeddings=False,
        initializer_range=0.09,
        bos_token_id=BOS_ID,
        eos_token_id=EOS_ID,
        pad_token_id=PADDING_ID,
    )
