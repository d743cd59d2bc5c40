"""The real model with sliding layers: Gemma-3-270M, where its optional package is installed."""

import pytest
import torch

from latentcrdt.core.geometry import Dtype
from latentcrdt.core.placement import canonical_order
from latentcrdt.errors import ModelNotInstalledError
from latentcrdt.hf import ModelContract, capture, generate, load_cache, load_gemma3
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

WINDOW = 512

F32_BOUND = 1e-4
"""Relative error of 18 layers in float32; measured 7e-6."""

FACTS = {
    "kite": "Anna has a red kite and lives in Oslo.\n",
    "bees": "Bert keeps fourteen bees in his garden in Rome.\n",
}

FILLER = "The committee met on Monday and spoke at length about the weather and the roads. "


@pytest.fixture(scope="module")
def gemma():
    try:
        return load_gemma3()
    except ModelNotInstalledError as error:
        pytest.skip(f"sliding windows of a real model were NOT tested: {error}")


@pytest.fixture(scope="module")
def long_pair(gemma):
    """Two fragments, one of them longer than the window, the other not."""
    model, tokenizer = gemma
    return (
        capture(model, tokenizer, FILLER * 40 + FACTS["kite"]),
        capture(model, tokenizer, FILLER * 6 + FACTS["bees"]),
    )


def test_its_contract_describes_the_model(gemma):
    described = ModelContract.of(gemma[0])
    geometry = described.geometry
    assert (described.name, geometry.dtype) == ("gemma3_text", Dtype.F32)
    assert [spec.window for spec in geometry.layers] == ([WINDOW] * 5 + [None]) * 3
    assert {(s.num_kv_heads, s.key_dim, s.value_dim) for s in geometry.layers} == {(1, 256, 256)}
    local, everywhere = (rope.frequencies[1] for rope in geometry.ropes)
    assert local == pytest.approx(1e4 ** (-1 / 128))
    assert everywhere == pytest.approx(1e6 ** (-1 / 128))
    assert described.evidence.keys_error < 1e-5


def test_sliding_layers_keep_the_last_rows_of_a_long_text(gemma, long_pair):
    long, short = long_pair
    assert long.header.seq_len > WINDOW > short.header.seq_len
    rows = [keys.shape[1] for keys, _ in layers_of(long)]
    assert rows == ([WINDOW - 1] * 5 + [long.header.seq_len]) * 3


def test_a_fragment_moved_to_a_position_equals_a_capture_at_that_position(gemma, long_pair):
    model, _ = gemma
    long, short = long_pair
    rendered = render_of([long, short])
    assert rendered.plan.placements[1].delta == long.header.seq_len
    there = capture(model, None, short.header.token_ids, start=long.header.seq_len)
    assert_close(last_rows(layers_of(rendered), short), layers_of(there), F32_BOUND)


def test_a_long_fragment_moved_behind_another_equals_a_capture_there(gemma, long_pair):
    model, _ = gemma
    long, short = long_pair
    rendered = render_of([short, long])
    there = capture(model, None, long.header.token_ids, start=short.header.seq_len)
    assert_close(last_rows(layers_of(rendered), long), layers_of(there), F32_BOUND)


def test_a_long_prefix_and_a_fragment_behind_it_equal_one_full_prefill(gemma, long_pair):
    model, tokenizer = gemma
    prefix, _ = long_pair
    behind = capture(model, tokenizer, FACTS["bees"], prefix=prefix)
    expected = plain_prefill(model, [*prefix.header.token_ids, *behind.header.token_ids])
    rendered = render_of([behind], [prefix])
    assert_close(layers_of(rendered), layers_of_cache(expected), F32_BOUND)


def test_decoding_goes_on_from_a_long_render_as_from_a_full_prefill(gemma, long_pair):
    model, tokenizer = gemma
    long, _ = long_pair
    rendered = render_of([long])
    question = tokenizer("Anna has a red", add_special_tokens=False)["input_ids"]
    expected = next_logits(
        model, plain_prefill(model, long.header.token_ids), question, long.header.seq_len
    )
    logits = next_logits(model, load_cache(rendered, model), question, long.header.seq_len)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-3)


def test_what_either_fragment_tells_is_found_through_sliding_windows(gemma, long_pair):
    model, tokenizer = gemma
    by_id = {fragment.fragment_id: fragment for fragment in long_pair}
    order = canonical_order((sort_key(f), fragment_id) for fragment_id, f in by_id.items())
    rendered = render_of([by_id[fragment_id] for fragment_id in order])
    assert rendered.plan.num_tokens > WINDOW
    before = rendered.digest
    answers = [
        generate(model, tokenizer, rendered, question, max_new_tokens=3, do_sample=False)
        for question in ("Anna has a red", "Bert keeps fourteen")
    ]
    assert "kite" in answers[0]
    assert "bees" in answers[1]
    assert rendered.digest == before
