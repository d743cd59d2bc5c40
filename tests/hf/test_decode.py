"""Decoding from a render: the right cache, the right positions, and nothing mutated."""

import dataclasses

import pytest
import torch

from latentcrdt.core.placement import place
from latentcrdt.core.plan import LayerRange, Layout
from latentcrdt.errors import InvalidRequestError, ModelMismatchError
from latentcrdt.hf import capture, decode_inputs, generate, load_cache
from latentcrdt.render.stream import render
from tests.hf.oracle import plain_prefill, render_of
from tests.hf.tiny_models import make_model
from tests.hf.tiny_tokenizer import BOS_ID, make_tokenizer

IDS = [5, 17, 40, 3, 88, 61, 29, 70, 12]
QUESTION = [14, 8, 90]
GREEDY = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}


@pytest.fixture(scope="module", params=["llama", "gemma3_text", "glm4"])
def model(request):
    return make_model(request.param)


def greedy(model, **inputs):
    return model.generate(**inputs, **GREEDY)[0, -12:].tolist()


def test_generate_continues_from_a_render_as_from_the_text_itself(model):
    rendered = render_of([capture(model, None, IDS)])
    expected = greedy(model, input_ids=torch.tensor([IDS + QUESTION]))
    assert greedy(model, **decode_inputs(rendered, model, QUESTION)) == expected


def test_generate_continues_from_a_prefix_and_a_fragment_as_from_the_text_itself(model):
    prefix = capture(model, None, IDS[:4])
    rendered = render_of([capture(model, None, IDS[4:], prefix=prefix)], [prefix])
    expected = greedy(model, input_ids=torch.tensor([IDS + QUESTION]))
    assert greedy(model, **decode_inputs(rendered, model, QUESTION)) == expected


@pytest.mark.parametrize("layout", [Layout.PARALLEL, Layout.SLOTTED], ids=str)
def test_every_step_is_placed_after_the_render_under_layouts_where_rows_are_not_positions(
    model, layout
):
    pair = [capture(model, None, IDS), capture(model, None, IDS[::-1])]
    rendered = render_of(pair, layout=layout, stride=50 if layout is Layout.SLOTTED else None)
    assert rendered.plan.next_position == (9 if layout is Layout.PARALLEL else 59)
    seen = []
    hook = model.register_forward_pre_hook(
        lambda _module, _args, kwargs: seen.extend(kwargs["position_ids"][0].tolist()),
        with_kwargs=True,
    )
    greedy(model, **decode_inputs(rendered, model, QUESTION))
    hook.remove()
    assert seen == list(range(rendered.plan.next_position, rendered.plan.next_position + 3 + 11))


def test_decoding_changes_neither_the_render_nor_its_fragments(model):
    pair = [capture(model, None, IDS), capture(model, None, QUESTION)]
    rendered = render_of(pair)
    digest, files = rendered.digest, [fragment.to_bytes() for fragment in pair]
    first = greedy(model, **decode_inputs(rendered, model, QUESTION))
    for keys_and_values in load_cache(rendered, model):
        keys_and_values[0].fill_(7.0)
    assert rendered.digest == digest
    assert [fragment.to_bytes() for fragment in pair] == files
    assert greedy(model, **decode_inputs(rendered, model, QUESTION)) == first


def test_the_layers_of_a_loaded_cache_are_initialised_and_count_every_token(model):
    cache = load_cache(render_of([capture(model, None, IDS)]), model)
    expected = plain_prefill(model, IDS)
    assert all(layer.is_initialized for layer in cache.layers)
    assert [layer.get_seq_length() for layer in cache.layers] == [9, 9, 9, 9]
    assert [layer.get_mask_sizes(3) for layer in cache.layers] == [
        layer.get_mask_sizes(3) for layer in expected.layers
    ]
    assert [layer.keys.shape for layer in cache.layers] == [
        layer.keys.shape for layer in expected.layers
    ]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_a_loaded_cache_keeps_dtype_and_device(dtype):
    model = make_model("llama", dtype=dtype)
    layer = load_cache(render_of([capture(model, None, IDS)]), model).layers[0]
    assert (layer.keys.dtype, layer.values.dtype) == (dtype, dtype)
    assert layer.keys.device == model.device
    assert torch.equal(layer.keys, plain_prefill(model, IDS).layers[0].keys)


def test_a_render_of_another_models_fragments_is_refused(model):
    rendered = render_of([capture(make_model("llama", seed=1), None, IDS)])
    with pytest.raises(ModelMismatchError, match="model_id"):
        load_cache(rendered, model)


def test_a_render_in_another_dtype_is_refused(model):
    rendered = render_of([capture(model, None, IDS)])
    half = dataclasses.replace(
        rendered,
        plan=dataclasses.replace(
            rendered.plan, geometry=dataclasses.replace(rendered.plan.geometry, dtype="f16")
        ),
    )
    with pytest.raises(ModelMismatchError, match="dtype of this model, f32, got f16"):
        load_cache(half, model)


def test_a_render_of_some_layers_is_refused(model):
    fragment = capture(model, None, IDS)
    plan = place([fragment.header], layers=LayerRange(0, 2))
    with pytest.raises(ModelMismatchError, match="all 4 layers, got layers 0 to 1"):
        load_cache(render(plan, {fragment.fragment_id: fragment}), model)


def test_a_question_of_no_tokens_is_refused(model):
    with pytest.raises(InvalidRequestError, match="at least one token"):
        decode_inputs(render_of([capture(model, None, IDS)]), model, [])


def test_generate_returns_what_the_model_answers_and_no_more():
    model, tokenizer = make_model("llama"), make_tokenizer()
    rendered = render_of([capture(model, tokenizer, "red kite")])
    answer = generate(model, tokenizer, rendered, " is", **GREEDY)
    text = tokenizer("red kite is")["input_ids"]
    assert text[0] == BOS_ID
    assert answer == tokenizer.decode(greedy(model, input_ids=torch.tensor([text])))


def test_generate_takes_no_dropout_from_a_model_in_training():
    model, tokenizer = make_model("llama", attention_dropout=0.5), make_tokenizer()
    rendered = render_of([capture(model, tokenizer, "red kite")])
    quiet = generate(model, tokenizer, rendered, " is", **GREEDY)
    model.train()
    assert generate(model, tokenizer, rendered, " is", **GREEDY) == quiet
    assert model.training
