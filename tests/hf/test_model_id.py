"""The model id names weights, not the place where they lie."""

import re

import pytest
import torch
from transformers import AutoModelForCausalLM

from latentcrdt.hf.model_id import model_id
from tests.hf.tiny_models import make_model


def identity(model):
    return model_id(model, "llama")


def test_the_id_is_the_name_and_128_bits():
    assert re.fullmatch(r"llama@[0-9a-f]{32}", identity(make_model("llama")))


def test_equal_weights_have_one_id_wherever_they_were_loaded_from(tmp_path):
    model = make_model("llama")
    loaded = []
    for folder in ("here", "there"):
        model.save_pretrained(tmp_path / folder)
        loaded.append(AutoModelForCausalLM.from_pretrained(tmp_path / folder))
    assert identity(loaded[0]) == identity(loaded[1]) == identity(model)


def test_other_weights_another_dtype_or_another_name_give_another_id():
    ids = {
        identity(make_model("llama")),
        identity(make_model("llama", seed=1)),
        identity(make_model("llama", dtype=torch.bfloat16)),
        model_id(make_model("llama"), "mistral"),
    }
    assert len(ids) == 4


@pytest.mark.parametrize(
    ("index", "seen"), [(0, True), (1023, True), (1024, False), (-1025, False), (-1024, True)]
)
def test_the_first_and_last_four_kibibytes_of_a_parameter_count(index, seen):
    model = make_model("llama")
    before = identity(model)
    embeddings = model.model.embed_tokens.weight
    assert embeddings.numel() > 4 * 1024
    with torch.no_grad():
        embeddings.view(-1)[index] += 1
    assert (identity(model) != before) is seen


def test_a_parameter_of_another_shape_gives_another_id():
    wide, tall = torch.nn.Linear(4, 2, bias=False), torch.nn.Linear(2, 4, bias=False)
    with torch.no_grad():
        tall.weight.copy_(wide.weight.reshape(4, 2))
    assert model_id(wide, "x") != model_id(tall, "x")
