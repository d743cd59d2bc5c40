"""Latent steps against a naive recomputation, and what becomes of them in a fragment."""

import numpy as np
import pytest
import torch
from transformers import DynamicCache

from latentcrdt.agents.regime import Rows
from latentcrdt.agents.think import forward, latent_steps, think
from latentcrdt.core.geometry import Dtype
from latentcrdt.errors import InvalidRequestError
from latentcrdt.hf import capture
from tests.agents.naive import naive_latent_inputs
from tests.hf.oracle import BOUNDS, assert_close, last_rows, layers_of, render_of
from tests.hf.shift import FILLER, MOVED
from tests.hf.tiny_models import make_model

NUM_STEPS = 9
"""More than the 5 rows that Gemma's sliding layers keep here."""

MODELS = {
    "llama": {"tie_word_embeddings": False},
    "qwen3": {"tie_word_embeddings": True},
    "gemma3_text": {},
    "glm4": {},
}
"""Untied; tied and norms of K; sliding, with scaled embeddings; interleaved and partial."""


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    return make_model(request.param, **MODELS[request.param])


def latent_inputs_of(fragment):
    """Return the stored input embeddings ``[m, d]`` of an f32 fragment."""
    section = fragment.header.sections[-1]
    assert section.part == "latent_inputs"
    rows = np.frombuffer(fragment.section(section), "<f4").reshape(-1, 64)
    return torch.from_numpy(rows.copy())


@pytest.mark.parametrize("variant", MODELS)
def test_steps_equal_a_full_recomputation_at_every_step(variant):
    model = make_model(variant, dtype=torch.float64, **MODELS[variant])
    cache = DynamicCache(config=model.config)
    hidden = forward(model, cache, position=0, input_ids=torch.tensor([FILLER]))[-1]
    fed = latent_steps(model, cache, hidden, position=len(FILLER), num_steps=NUM_STEPS)
    expected = naive_latent_inputs(model, FILLER, NUM_STEPS)
    torch.testing.assert_close(fed, expected, rtol=1e-7, atol=1e-9)


def test_rows_are_made_again_from_their_stored_embeddings(model):
    fragment = think(model, None, FILLER, num_steps=NUM_STEPS)
    tokens = model.get_input_embeddings()(torch.tensor(FILLER)).detach()
    cache = DynamicCache(config=model.config)
    forward(
        model,
        cache,
        position=0,
        inputs_embeds=torch.cat([tokens, latent_inputs_of(fragment)])[None],
    )
    for (keys, values), layer in zip(layers_of(fragment), cache.layers, strict=True):
        for rows, made in ((keys, layer.keys[0]), (values, layer.values[0])):
            torch.testing.assert_close(
                torch.from_numpy(rows), made.double()[:, -rows.shape[1] :], rtol=1e-4, atol=1e-5
            )


@pytest.mark.parametrize("rows", Rows)
def test_thinking_moved_by_a_render_equals_thinking_done_there(model, rows):
    filler = capture(model, None, FILLER)
    thought = think(model, None, MOVED, num_steps=4, rows=rows)
    rendered = render_of([filler, thought])
    (_, placement) = rendered.plan.placements
    there = think(model, None, MOVED, num_steps=4, rows=rows, start=placement.delta)
    assert there.header.start == placement.new_start
    assert_close(last_rows(layers_of(rendered), thought), layers_of(there), BOUNDS[Dtype.F32])


def test_no_steps_are_a_capture(model):
    assert think(model, None, MOVED, num_steps=0).fragment_id == (
        capture(model, None, MOVED).fragment_id
    )


def test_a_fragment_marks_its_latent_rows_and_keeps_their_embeddings(model):
    fragment = think(model, None, MOVED, num_steps=3)
    header = fragment.header
    assert header.token_ids == (*MOVED, -1, -1, -1)
    assert (header.start, header.seq_len, header.num_latent_rows) == (0, 10, 3)
    assert latent_inputs_of(fragment).shape == (3, 64)
    fragment.verify()


def test_latent_rows_alone_are_the_last_rows_of_both(model):
    both = think(model, None, MOVED, num_steps=3)
    latent = think(model, None, MOVED, num_steps=3, rows=Rows.LATENT)
    assert (latent.header.start, latent.header.seq_len) == (len(MOVED), 3)
    assert latent.header.token_ids == (-1, -1, -1)
    for (all_keys, all_values), (keys, values) in zip(
        layers_of(both), layers_of(latent), strict=True
    ):
        assert (all_keys[:, -3:] == keys).all()
        assert (all_values[:, -3:] == values).all()
    assert latent_inputs_of(latent).equal(latent_inputs_of(both))


def test_thinking_behind_a_prefix_equals_thinking_after_both_texts(model):
    prefix = capture(model, None, FILLER)
    behind = think(model, None, MOVED, num_steps=3, prefix=prefix)
    assert behind.header.prefix == prefix.fragment_id
    assert (behind.header.start, behind.header.seq_len) == (len(FILLER), len(MOVED) + 3)
    whole = think(model, None, FILLER + MOVED, num_steps=3)
    rendered = render_of([behind], [prefix])
    assert_close(layers_of(rendered), layers_of(whole), BOUNDS[Dtype.F32])


def test_more_steps_begin_with_the_same_rows(model):
    few, many = (think(model, None, MOVED, num_steps=steps) for steps in (2, 5))
    assert latent_inputs_of(many)[:2].equal(latent_inputs_of(few))


def test_thinking_changes_neither_the_model_nor_its_mode():
    model = make_model("llama", attention_dropout=0.5)
    quiet = think(model, None, MOVED, num_steps=2)
    model.train()
    assert think(model, None, MOVED, num_steps=2).fragment_id == quiet.fragment_id
    assert model.training


@pytest.mark.parametrize(("rows", "num_steps"), [(Rows.ALL, -1), (Rows.LATENT, 0)])
def test_fewer_steps_than_the_rows_need_are_refused(rows, num_steps):
    with pytest.raises(InvalidRequestError, match=f"got {num_steps}"):
        think(make_model("llama"), None, MOVED, num_steps=num_steps, rows=rows)


def test_half_precision_keeps_embeddings_in_its_own_dtype():
    model = make_model("llama", dtype=torch.bfloat16)
    fragment = think(model, None, MOVED, num_steps=2)
    assert fragment.header.sections[-1].size == 2 * 64 * 2
