"""The real model: SmolLM2-135M-Instruct, as the installed package carries it."""

import socket

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from latentcrdt.core.placement import canonical_order
from latentcrdt.hf import ModelContract, capture, generate, load_cache, load_smollm2
from latentcrdt.hf.smollm2 import SMOLLM2
from latentcrdt.render.sort_key import sort_key
from tests.hf.oracle import (
    assert_close,
    last_rows,
    layers_of,
    layers_of_cache,
    next_logits,
    plain_prefill,
    render_of,
)

ANNA = "Anna has a red kite and lives in Oslo.\n"
BERT = "Bert keeps fourteen bees in his garden in Rome.\n"

F32_BOUND = 1e-4
"""Relative error of 30 layers in float32; measured 6e-6."""

BF16_BOUND = 1e-1
"""Relative error of 30 layers in bf16; measured 5e-2, in V as in K: the model's own noise."""


@pytest.fixture(scope="module")
def smollm():
    return load_smollm2()


@pytest.fixture(scope="module")
def bf16_model():
    directory = SMOLLM2.directory()
    return AutoModelForCausalLM.from_pretrained(directory, dtype=torch.bfloat16)


def test_its_contract_describes_the_model(smollm):
    described = ModelContract.of(smollm[0])
    assert described.name == "llama"
    layers = {(s.num_kv_heads, s.key_dim, s.window) for s in described.geometry.layers}
    assert (len(described.geometry.layers), layers) == (30, {(3, 64, None)})
    assert described.evidence.keys_error < 1e-5


@pytest.mark.parametrize("at", [50, 3000])
def test_a_fragment_moved_to_a_position_equals_a_capture_at_that_position(smollm, at):
    model, tokenizer = smollm
    there = capture(model, tokenizer, BERT, start=at)
    back = render_of([there])
    assert back.plan.placements[0].delta == -at
    assert_close(layers_of(back), layers_of(capture(model, tokenizer, BERT)), F32_BOUND)


def test_the_same_holds_in_bf16(bf16_model, smollm):
    there = capture(bf16_model, smollm[1], BERT, start=50)
    expected = layers_of(capture(bf16_model, smollm[1], BERT))
    assert_close(layers_of(render_of([there])), expected, BF16_BOUND)


def test_a_prefix_and_a_fragment_behind_it_equal_one_full_prefill(smollm):
    model, tokenizer = smollm
    prefix = capture(model, tokenizer, ANNA)
    behind = capture(model, tokenizer, BERT, prefix=prefix)
    token_ids = [*prefix.header.token_ids, *behind.header.token_ids]
    expected = layers_of_cache(plain_prefill(model, token_ids))
    assert_close(layers_of(render_of([behind], [prefix])), expected, F32_BOUND)


def test_two_fragments_rendered_together_are_decoded_from(smollm):
    model, tokenizer = smollm
    fragments = {f.fragment_id: f for f in (capture(model, tokenizer, t) for t in (ANNA, BERT))}
    order = canonical_order((sort_key(f), fragment_id) for fragment_id, f in fragments.items())
    rendered = render_of([fragments[fragment_id] for fragment_id in order])
    before = rendered.digest
    answer = generate(model, tokenizer, rendered, "Bert keeps", max_new_tokens=6, do_sample=False)
    assert answer.strip()
    assert rendered.digest == before


@pytest.mark.parametrize(
    ("question", "answer", "told_by"),
    [("Anna has a red", " kite", 0), ("Bert keeps", " fourteen", 1)],
)
def test_what_either_fragment_tells_is_found_in_the_render_of_both(
    smollm, question, answer, told_by
):
    model, tokenizer = smollm
    fragments = [capture(model, tokenizer, text) for text in (ANNA, BERT)]
    token_ids, expected = tokenizer(question)["input_ids"], tokenizer(answer)["input_ids"][0]

    def log_probability(fragments):
        rendered = render_of(fragments)
        cache, position = load_cache(rendered, model), rendered.plan.next_position
        return float(next_logits(model, cache, token_ids, position).log_softmax(-1)[expected])

    untold = log_probability([fragments[1 - told_by]])
    for order in (fragments, fragments[::-1]):
        assert log_probability(order) > untold + 3  # nats; measured 5 and 8


def test_the_second_fragment_of_a_render_is_where_a_longer_prefill_has_the_position(smollm):
    model, tokenizer = smollm
    first, second = capture(model, tokenizer, ANNA), capture(model, tokenizer, BERT)
    there = capture(model, tokenizer, BERT, start=first.header.seq_len)
    rendered = render_of([first, second])
    assert_close(last_rows(layers_of(rendered), second), layers_of(there), F32_BOUND)


def test_sort_keys_of_a_trained_model_are_apart(smollm):
    keys = [sort_key(capture(*smollm, text)) for text in (ANNA, BERT)]
    assert abs(np.diff(keys)[0]) / keys[0] > 1e-4


def test_loading_touches_no_network(monkeypatch, smollm):
    def refuse(*_args, **_kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    model, _ = load_smollm2()
    assert ModelContract.of(model).geometry == ModelContract.of(smollm[0]).geometry
