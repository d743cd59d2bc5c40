"""Capture: what a fragment says of itself, and what is refused before or after the prefill."""

import pytest
import torch
from transformers import DynamicCache

from latentcrdt.core.fragment import Fragment
from latentcrdt.core.geometry import Dtype
from latentcrdt.errors import (
    IncompatibleFragmentsError,
    InvalidRequestError,
    ModelMismatchError,
    NonFiniteKeysError,
    UnsupportedCacheError,
)
from latentcrdt.hf import ModelContract, capture, fragment_from_cache
from tests.hf.oracle import layers_of, layers_of_cache, plain_prefill, render_of
from tests.hf.tiny_models import make_model
from tests.hf.tiny_tokenizer import BOS_ID, make_tokenizer
from tests.hf.variants import VOCAB_SIZE

IDS = [5, 17, 40, 3, 88]


@pytest.fixture(scope="module")
def model():
    return make_model("gemma3_text")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_a_fragment_holds_the_very_elements_that_the_model_made(dtype):
    model = make_model("llama", dtype=dtype)
    fragment = capture(model, None, IDS)
    assert fragment.header.geometry.dtype is not None
    for (keys, values), (cached_keys, cached_values) in zip(
        layers_of(fragment), layers_of_cache(plain_prefill(model, IDS)), strict=True
    ):
        assert (keys == cached_keys).all()
        assert (values == cached_values).all()


def test_bytes_are_little_endian_and_row_major():
    model = make_model("llama")
    cache = plain_prefill(model, IDS)
    expected = cache.layers[1].keys[0, 1, 2, 3]  # head 1, token 2, dimension 3
    offset = 4 * ((1 * len(IDS) + 2) * 16 + 3)
    data = capture(model, None, IDS).keys(1)[offset : offset + 4]
    assert int.from_bytes(data, "little") == int(expected.view(torch.int32)) % 2**32


def test_a_fragment_says_where_it_starts_and_of_which_tokens_it_is(model):
    header = capture(model, None, IDS, start=7).header
    assert (header.start, header.seq_len, header.prefix) == (7, 5, None)
    assert header.token_ids == tuple(IDS)
    assert header.geometry == ModelContract.of(model).geometry


def test_a_fragment_behind_a_prefix_holds_only_its_own_rows(model):
    prefix = capture(model, None, [1, 2, 3, 4, 5, 6, 7, 8])
    behind = capture(model, None, IDS, prefix=prefix)
    assert behind.header.prefix == prefix.fragment_id
    assert (behind.header.start, behind.header.seq_len) == (8, 5)
    assert [keys.shape[1] for keys, _ in layers_of(behind)] == [5, 5, 5, 5]


def test_a_prefix_is_read_where_it_was_captured(model):
    prefix = capture(model, None, [1, 2, 3], start=20)
    assert capture(model, None, IDS, prefix=prefix).header.start == 23


def test_capture_leaves_its_prefix_as_it_was(model):
    prefix = capture(model, None, [1, 2, 3])
    before = prefix.to_bytes()
    capture(model, None, IDS, prefix=prefix)
    assert prefix.to_bytes() == before
    prefix.verify()


def test_token_ids_can_be_withheld(model):
    header = capture(model, None, IDS, withhold_token_ids=True).header
    assert header.token_ids is None


def test_capturing_twice_gives_one_id(model):
    first, second = capture(model, None, IDS), capture(model, None, IDS)
    assert first.fragment_id == second.fragment_id
    assert first.to_bytes() == second.to_bytes()


def test_dropout_of_a_model_in_training_does_not_reach_a_fragment():
    model = make_model("llama", attention_dropout=0.5)
    quiet = capture(model, None, IDS)
    model.train()
    assert capture(model, None, IDS).fragment_id == quiet.fragment_id
    assert model.training


def test_only_the_beginning_of_a_sequence_gets_special_tokens(model):
    tokenizer = make_tokenizer()
    prefix = capture(model, tokenizer, "Hello")
    behind = capture(model, tokenizer, " you", prefix=prefix)
    assert prefix.header.token_ids[0] == BOS_ID
    assert BOS_ID not in behind.header.token_ids
    assert (prefix.header.seq_len, behind.header.seq_len) == (6, 4)


@pytest.mark.parametrize("nothing", ["", [], ()])
def test_nothing_to_capture_is_refused(model, nothing):
    tokenizer = make_tokenizer()
    tokenizer.backend_tokenizer.post_processor = None
    with pytest.raises(InvalidRequestError, match="at least one token"):
        capture(model, tokenizer, nothing)


def test_text_without_a_tokenizer_is_refused(model):
    with pytest.raises(InvalidRequestError, match="expected a tokenizer"):
        capture(model, None, "Hello")


@pytest.mark.parametrize("token_id", [-1, VOCAB_SIZE])
def test_token_ids_outside_the_vocabulary_are_refused(model, token_id):
    with pytest.raises(InvalidRequestError, match=f"one of the model's {VOCAB_SIZE}"):
        capture(model, None, [1, token_id])


def test_a_start_inside_the_prefix_is_refused(model):
    prefix = capture(model, None, IDS)
    with pytest.raises(InvalidRequestError, match="at least 5, the prefix's end, got 4"):
        capture(model, None, IDS, prefix=prefix, start=4)


def test_a_prefix_of_another_model_is_refused(model):
    other = capture(make_model("gemma3_text", seed=1), None, IDS)
    with pytest.raises(ModelMismatchError, match="model_id"):
        capture(model, None, IDS, prefix=other)


def test_a_prefix_without_the_one_before_it_is_refused(model):
    outer = capture(model, None, IDS)
    inner = capture(model, None, IDS, prefix=outer)
    with pytest.raises(IncompatibleFragmentsError, match=str(outer.fragment_id)):
        capture(model, None, IDS, prefix=inner)


def test_a_chain_of_prefixes_with_a_gap_is_refused(model):
    outer = capture(model, None, IDS)
    inner = capture(model, None, IDS, prefix=outer, start=9)
    with pytest.raises(IncompatibleFragmentsError, match="at 5, got 9"):
        capture(model, None, IDS, prefix=[outer, inner])


def test_keys_that_are_not_finite_are_refused_naming_the_layer():
    model = make_model("llama")
    ModelContract.of(model)  # examined while it was sound
    cache = plain_prefill(model, IDS)
    cache.layers[2].keys[0, 0, 1, 3] = float("nan")
    with pytest.raises(NonFiniteKeysError, match="layer 2"):
        fragment_from_cache(cache, model, start=0, seq_len=len(IDS))


def test_a_model_that_makes_nan_is_refused():
    model = make_model("llama")
    with torch.no_grad():
        model.model.embed_tokens.weight[88] = float("nan")
    with pytest.raises(NonFiniteKeysError, match="layer 0"):
        capture(model, None, IDS)


def test_the_end_of_a_cache_becomes_a_fragment(model):
    cache = plain_prefill(model, [*range(10, 20), *IDS])
    fragment = fragment_from_cache(cache, model, start=10, seq_len=5, token_ids=IDS)
    prefix = capture(model, None, list(range(10, 20)))
    behind = capture(model, None, IDS, prefix=prefix)
    for got, wanted in zip(layers_of(fragment), layers_of(behind), strict=True):
        torch.testing.assert_close(got[0], wanted[0], rtol=1e-4, atol=1e-5)


def test_a_fragment_from_a_cache_may_carry_latent_inputs(model):
    rows = torch.arange(2 * 64, dtype=torch.float32).numpy().tobytes()
    fragment = fragment_from_cache(
        plain_prefill(model, IDS),
        model,
        start=0,
        seq_len=5,
        token_ids=[5, 17, 40, -1, -1],
        latent_inputs=(64, rows),
    )
    assert fragment.header.num_latent_rows == 2
    assert fragment.header.geometry.dtype is Dtype.F32
    assert Fragment.from_buffer(fragment.to_bytes()).header == fragment.header


@pytest.mark.parametrize("rows", [6, 50])
def test_a_cache_that_is_too_short_is_refused(model, rows):
    with pytest.raises(
        UnsupportedCacheError, match=rf"{rows}, 16\] of torch.float32, got \[1, 2, 5, 16"
    ):
        fragment_from_cache(plain_prefill(model, IDS), model, start=0, seq_len=rows)


def test_a_cache_that_was_never_filled_is_refused(model):
    with pytest.raises(UnsupportedCacheError, match=r"layer 0.*got none"):
        fragment_from_cache(DynamicCache(config=model.config), model, start=0, seq_len=1)


def test_a_cache_of_two_sequences_is_refused(model):
    cache = plain_prefill(model, IDS)
    cache.batch_repeat_interleave(2)
    with pytest.raises(UnsupportedCacheError, match=r"got \[2, "):
        fragment_from_cache(cache, model, start=0, seq_len=5)


def test_a_cache_in_another_dtype_is_refused(model):
    cache = plain_prefill(make_model("gemma3_text", dtype=torch.bfloat16), IDS)
    with pytest.raises(UnsupportedCacheError, match=r"of torch.float32, got .* of torch.bfloat16"):
        fragment_from_cache(cache, model, start=0, seq_len=5)


def test_a_cache_of_another_depth_is_refused(model):
    cache = plain_prefill(make_model("llama", num_hidden_layers=2), IDS)
    with pytest.raises(UnsupportedCacheError, match="expected 4 layers, got 2"):
        fragment_from_cache(cache, model, start=0, seq_len=5)


def test_fragments_of_one_model_render_together(model):
    pair = [capture(model, None, IDS), capture(model, None, IDS[::-1])]
    assert render_of(pair).plan.num_tokens == 10
