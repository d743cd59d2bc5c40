"""What cannot be re-positioned is refused by name, with the reason."""

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
)
from transformers.cache_utils import DynamicCache, LinearAttentionLayer, QuantizedLayer, StaticCache

from latentcrdt.errors import (
    UnsupportedCacheError,
    UnsupportedDtypeError,
    UnsupportedModelError,
    UnsupportedRopeError,
)
from latentcrdt.hf import ModelContract, capture
from latentcrdt.hf.layers import plain_layers
from tests.hf.tiny_models import VOCAB_SIZE, make_model


def tiny(model_type, **settings):
    config = AutoConfig.for_model(model_type, vocab_size=VOCAB_SIZE, **settings)
    return AutoModelForCausalLM.from_config(config).eval()


@pytest.mark.parametrize(
    ("model_type", "settings"),
    [
        ("gpt2", {"n_embd": 32, "n_layer": 1, "n_head": 2}),
        ("bloom", {"hidden_size": 32, "n_layer": 1, "n_head": 2}),
    ],
    ids=["learned positions", "alibi"],
)
def test_models_without_rotary_positions_are_refused(model_type, settings):
    with pytest.raises(UnsupportedRopeError, match=f"{model_type}.*learned, ALiBi"):
        ModelContract.of(tiny(model_type, **settings))


def test_longrope_is_refused():
    factors = {"short_factor": [1.0] * 8, "long_factor": [4.0] * 8}
    model = make_model(
        "phi3",
        original_max_position_embeddings=128,
        rope_parameters={"rope_type": "longrope", "rope_theta": 10000.0, **factors},
    )
    with pytest.raises(UnsupportedRopeError, match="phi3: rope type 'longrope'"):
        capture(model, None, [1, 2, 3])


def test_dynamic_ntk_is_refused():
    rope = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}
    with pytest.raises(UnsupportedRopeError, match="llama: rope type 'dynamic'"):
        ModelContract.of(make_model("llama", rope_parameters=rope))


def test_m_rope_is_refused():
    text = {
        "vocab_size": VOCAB_SIZE,
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "mrope_section": [2, 3, 3],
        },
    }
    vision = {"depth": 1, "embed_dim": 32, "hidden_size": 32, "num_heads": 2}
    config = Qwen2VLConfig(text_config=text, vision_config=vision)
    with pytest.raises(UnsupportedRopeError, match=r"qwen2_vl.*M-RoPE"):
        ModelContract.of(Qwen2VLForConditionalGeneration(config))


def test_recurrent_models_are_refused():
    model = tiny("mamba", hidden_size=32, state_size=4, num_hidden_layers=1)
    with pytest.raises(UnsupportedCacheError, match="LinearAttentionLayer: a recurrent state"):
        ModelContract.of(model)


def test_hybrid_models_are_refused():
    model = make_model("bamba", attn_layer_indices=[1, 3], mamba_n_heads=8, mamba_d_state=16)
    with pytest.raises(UnsupportedCacheError, match="recurrent state"):
        ModelContract.of(model)


def test_encoder_decoder_models_are_refused():
    sizes = {"d_model": 32, "d_kv": 16, "d_ff": 32, "num_layers": 1, "num_heads": 2}
    config = AutoConfig.for_model("t5", vocab_size=VOCAB_SIZE, decoder_start_token_id=0, **sizes)
    with pytest.raises(UnsupportedModelError, match="t5: encoder-decoder"):
        ModelContract.of(AutoModelForSeq2SeqLM.from_config(config))


def test_families_that_nobody_has_checked_are_refused():
    with pytest.raises(UnsupportedModelError, match=r"'arcee'.*families.py says how to add one"):
        ModelContract.of(make_model("arcee"))


def test_models_that_ask_for_a_quantised_cache_are_refused():
    model = make_model("llama")
    model.generation_config.cache_implementation = "quantized"
    with pytest.raises(UnsupportedCacheError, match=r"llama.*quantized cache"):
        ModelContract.of(model)


def test_float64_models_are_refused():
    with pytest.raises(UnsupportedDtypeError, match=r"bf16, f16, f32, got torch.float64"):
        ModelContract.of(make_model("llama", dtype=torch.float64))


class RoundedQuantizedLayer(QuantizedLayer):
    """A quantised layer that needs no quantisation library to be constructed."""

    def __init__(self):
        self.keys = self.values = None

    def _quantize(self, tensor, axis):  # the base class's signature
        return tensor

    def _dequantize(self, q_tensor):
        return q_tensor


def cache_with(layer):
    cache = DynamicCache(config=make_model("llama").config)
    cache.layers[2] = layer
    return cache


def test_quantised_cache_layers_are_refused():
    with pytest.raises(UnsupportedCacheError, match="RoundedQuantizedLayer: quantised keys"):
        plain_layers(cache_with(RoundedQuantizedLayer()))


def test_recurrent_cache_layers_are_refused():
    with pytest.raises(UnsupportedCacheError, match=r"cache layer 2.*recurrent"):
        plain_layers(cache_with(LinearAttentionLayer()))


def test_static_caches_are_refused():
    cache = StaticCache(make_model("llama").config, max_cache_len=16)
    with pytest.raises(UnsupportedCacheError, match="StaticLayer: it is padded"):
        plain_layers(cache)


def test_what_is_no_cache_is_refused():
    with pytest.raises(UnsupportedCacheError, match=r"expected a transformers Cache.*got tuple"):
        plain_layers(((1, 2),))
