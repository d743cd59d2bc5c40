"""Realignment against numpy's least squares, and what ties make of it."""

import pytest
import torch
from transformers import AutoModel

from latentcrdt.agents.realignment import Realignment, realignment_matrix
from latentcrdt.errors import UnsupportedModelError
from tests.agents.naive import least_squares
from tests.hf.tiny_models import make_model


def test_w_is_the_ridge_regression_of_input_on_output_embeddings():
    model = make_model("llama", tie_word_embeddings=False)
    matrix = Realignment.of(model).matrix
    torch.testing.assert_close(matrix.double(), least_squares(model), rtol=1e-5, atol=1e-6)


def test_tied_embeddings_need_no_matrix():
    model = make_model("llama", tie_word_embeddings=True)
    assert Realignment.of(model).matrix is None
    table = model.get_input_embeddings().weight.detach().double()
    by_formula = realignment_matrix(table, table)
    torch.testing.assert_close(by_formula, torch.eye(64, dtype=torch.float64), rtol=0, atol=1e-4)


def test_equal_embeddings_that_share_no_memory_count_as_tied():
    model = make_model("llama", tie_word_embeddings=False)
    with torch.no_grad():
        model.lm_head.weight.copy_(model.model.embed_tokens.weight)
    assert Realignment.of(model).matrix is None


@pytest.mark.parametrize("variant", ["llama", "gemma3_text"])
def test_what_is_fed_back_is_as_long_as_the_mean_input_embedding(variant):
    model = make_model(variant)
    with torch.no_grad():
        rows = model.get_input_embeddings()(torch.arange(97))  # Gemma's are scaled by the layer
    fed = Realignment.of(model)(torch.linspace(-1e3, 2e3, 64))
    assert float(fed.detach().norm()) == pytest.approx(float(rows.norm(dim=-1).mean()), rel=1e-5)


def test_half_precision_is_realigned_in_single():
    model = make_model("llama", dtype=torch.bfloat16, tie_word_embeddings=False)
    realign = Realignment.of(model)
    hidden = torch.full((64,), 3e3, dtype=torch.bfloat16)
    assert realign.matrix.dtype == torch.float32
    assert realign(hidden).dtype == torch.bfloat16
    assert float(realign(hidden).norm()) == pytest.approx(realign.mean_norm, rel=1e-2)


def test_it_is_computed_again_once_the_weights_changed():
    model = make_model("llama", tie_word_embeddings=False)
    before = Realignment.of(model)
    assert Realignment.of(model) is before
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(2)
    assert Realignment.of(model).mean_norm == pytest.approx(2 * before.mean_norm)


def test_a_model_without_a_head_is_refused():
    model = AutoModel.from_config(make_model("llama").config)
    with pytest.raises(UnsupportedModelError, match="output embeddings"):
        Realignment.of(model)
