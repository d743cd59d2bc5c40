"""Shift equivariance, family by family: a fragment that was moved is as if captured there."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForImageTextToText

from latentcrdt.core.geometry import Dtype, RopeStyle
from latentcrdt.hf import ModelContract
from latentcrdt.hf.families import FAMILIES, UNMOVABLE, Family
from latentcrdt.hf.tensors import TORCH_DTYPES
from tests.hf.oracle import BOUNDS
from tests.hf.refused import REFUSED
from tests.hf.shift import (
    bound_of,
    moved_and_there,
    shift_errors,
    unchecked_errors,
    worst_errors,
)
from tests.hf.tiny_models import make_model
from tests.hf.variants import ALTERNATING, COMMON, HEADS, VARIANTS

FIRST_LAYER_BOUNDS = {Dtype.F32: 5e-6, Dtype.BF16: 1e-2}
"""Relative error where no attention came before: that of the rotation alone.

Measured: at most 1.3e-6, since transformers rounds the angle to float32, and 5e-3.
"""


def test_every_family_of_the_table_has_a_tiny_model():
    assert {variant.partition(" ")[0] for variant in VARIANTS} == set(FAMILIES)


@pytest.mark.parametrize("dtype", [Dtype.F32, Dtype.BF16], ids=str)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_fragment_moved_to_a_position_equals_a_capture_at_that_position(variant, dtype):
    model = make_model(variant, dtype=TORCH_DTYPES[dtype])
    moved, there = moved_and_there(model)
    keys_error, values_error = worst_errors(moved, there)
    assert keys_error <= bound_of(model, dtype)
    assert values_error <= bound_of(model, dtype)
    first_keys_error, first_values_error = worst_errors(moved[:1], there[:1])
    assert first_keys_error <= FIRST_LAYER_BOUNDS[dtype]
    assert first_values_error == 0


@pytest.mark.parametrize(
    ("model_type", "text", "vision"),
    [
        ("gemma3", {**ALTERNATING, "model_type": "gemma3_text"}, {}),
        ("mistral3", {**HEADS, "model_type": "mistral"}, {}),
        ("llava", {"model_type": "llama"}, {"model_type": "clip_vision_model"}),
    ],
)
def test_the_text_model_inside_a_vision_language_model_is_as_good_as_alone(
    model_type, text, vision
):
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "image_size": 28, "patch_size": 14}
    config = AutoConfig.for_model(
        model_type, text_config=COMMON | text, vision_config=sizes | heads | vision
    )
    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_config(config).eval()
    assert ModelContract.of(model).name == text["model_type"]
    assert max(shift_errors(model)) <= BOUNDS[Dtype.F32]


@pytest.mark.parametrize("refused", [r for r in REFUSED if r.rotation], ids=lambda r: r.name)
def test_a_rotation_would_leave_a_refused_model_with_a_wrong_cache(refused):
    assert max(refused.rotation(refused.make())) > 1000 * BOUNDS[Dtype.F32]


def test_queries_scaled_in_steps_pass_the_self_test_and_are_wrong_a_step_later(monkeypatch):
    rope = {"rope_theta": 10000.0, "rope_type": "yarn", "factor": 4.0, "llama_4_scaling_beta": 0.1}
    model = make_model(
        "ministral3", rope_parameters=rope | {"original_max_position_embeddings": 128}, **HEADS
    )
    monkeypatch.setitem(FAMILIES, "ministral3", Family(RopeStyle.HALF))
    monkeypatch.delitem(UNMOVABLE, "ministral3")
    assert ModelContract.of(model).evidence.values_error < BOUNDS[Dtype.F32]
    assert unchecked_errors(model, RopeStyle.HALF, 130).values > 1e-2
