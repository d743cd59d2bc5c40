"""What cannot be re-positioned is refused by name, with the reason."""

import pytest
import torch
from transformers.cache_utils import DynamicCache, LinearAttentionLayer, QuantizedLayer, StaticCache

from latentcrdt.errors import (
    UnsupportedCacheError,
    UnsupportedDtypeError,
    UnsupportedModelError,
    UnsupportedRopeError,
)
from latentcrdt.hf import ModelContract, capture
from latentcrdt.hf.families import FAMILIES, UNMOVABLE
from latentcrdt.hf.layers import plain_layers
from tests.hf.refused import REFUSED
from tests.hf.tiny_models import make_model


@pytest.mark.parametrize("refused", REFUSED, ids=lambda refused: refused.name)
def test_models_that_cannot_be_moved_are_refused_by_name_with_the_reason(refused):
    model = refused.make()
    with pytest.raises(refused.error, match=refused.reason):
        ModelContract.of(model)


def test_every_family_that_is_refused_by_name_has_a_tiny_model():
    assert set(UNMOVABLE) <= {refused.name for refused in REFUSED}


def test_no_family_is_both_accepted_and_refused():
    assert not FAMILIES.keys() & UNMOVABLE.keys()


def test_a_refused_model_gives_no_fragment():
    with pytest.raises(UnsupportedRopeError, match="gpt2"):
        capture(make_model("gpt2"), None, [1, 2, 3])


def test_families_that_nobody_has_checked_are_refused():
    with pytest.raises(UnsupportedModelError, match=r"'doge'.*families.py says how to add one"):
        ModelContract.of(make_model("doge"))


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
