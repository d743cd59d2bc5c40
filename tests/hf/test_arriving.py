"""Decoding from a render that still arrives: layer after layer, and never from less than it all."""

import copy

import pytest
import torch

from latentcrdt.core.placement import place
from latentcrdt.core.plan import LayerRange, Layout
from latentcrdt.errors import DigestMismatchError, ModelMismatchError
from latentcrdt.hf import capture, decode_inputs, fragment_from_cache, load_cache
from latentcrdt.render.stream import render
from tests.hf.oracle import plain_prefill, render_of
from tests.hf.tiny_models import make_model

IDS = [5, 17, 40, 3, 88, 61, 29, 70, 12]
QUESTION = [14, 8, 90]
GREEDY = {"max_new_tokens": 12, "do_sample": False, "eos_token_id": None, "pad_token_id": 0}


class Arriving:
    """A render whose layers are noted as they are asked for; one of them may fail to come."""

    def __init__(self, rendered, trace=None, lost=None):
        self.plan = rendered.plan
        self.trace = [] if trace is None else trace
        self._rendered = rendered
        self._lost = lost

    def keys(self, layer):
        self.trace.append(("keys", layer))
        if layer == self._lost:
            raise DigestMismatchError("not as it was", layer=layer)
        return self._rendered.keys(layer)

    def values(self, layer):
        return self._rendered.values(layer)


@pytest.fixture(scope="module", params=["llama", "gemma3_text", "glm4"])
def model(request):
    return make_model(request.param)


@pytest.fixture(scope="module")
def rendered(model):
    return render_of([capture(model, None, IDS), capture(model, None, IDS[::-1])])


def greedy(model, render):
    inputs = decode_inputs(render, model, QUESTION)
    return model.generate(**inputs, **GREEDY)[0, -12:].tolist()


def test_the_model_computes_on_a_layer_before_it_asks_for_the_next(model, rendered):
    trace = []
    hooks = [
        layer.register_forward_hook(lambda *_, i=i: trace.append(("done", i)))
        for i, layer in enumerate(model.model.layers)
    ]
    inputs = decode_inputs(Arriving(rendered, trace), model, QUESTION)
    assert trace == []
    with torch.no_grad():
        model(**inputs)
    for hook in hooks:
        hook.remove()
    assert trace == [(what, i) for i in range(4) for what in ("keys", "done")]


def test_the_answer_is_that_of_the_whole_render(model, rendered):
    assert greedy(model, Arriving(rendered)) == greedy(model, rendered)


@pytest.mark.parametrize("layout", [Layout.PARALLEL, Layout.SLOTTED], ids=str)
def test_the_answer_is_the_same_where_rows_are_not_positions(model, layout):
    pair = [capture(model, None, IDS), capture(model, None, QUESTION)]
    whole = render_of(pair, layout=layout, stride=50 if layout is Layout.SLOTTED else None)
    assert greedy(model, Arriving(whole)) == greedy(model, whole)


def test_lengths_and_masks_are_known_before_any_layer_has_come(model, rendered):
    arriving = Arriving(rendered)
    cache, whole = load_cache(arriving, model), load_cache(rendered, model)
    assert cache.get_seq_length() == whole.get_seq_length() == 18
    for mine, theirs in zip(cache.layers, whole.layers, strict=True):
        assert mine.is_initialized
        assert mine.get_seq_length() == theirs.get_seq_length()
        assert mine.get_mask_sizes(3) == theirs.get_mask_sizes(3)
        assert mine.get_max_length() == theirs.get_max_length()
    assert arriving.trace == []


def test_every_way_into_a_layer_finds_all_its_rows(model, rendered):
    whole = load_cache(rendered, model)
    ways = {
        "read": lambda _: None,
        "copied": copy.deepcopy,
        "repeated": lambda cache: cache.batch_repeat_interleave(1),
        "selected": lambda cache: cache.batch_select_indices(torch.tensor([0])),
        "reordered": lambda cache: cache.reorder_cache(torch.tensor([0])),
    }
    for way, go in ways.items():
        cache = load_cache(Arriving(rendered), model)
        cache = go(cache) or cache
        for mine, theirs in zip(cache.layers, whole.layers, strict=True):
            assert torch.equal(mine.keys, theirs.keys), way
            assert torch.equal(mine.values, theirs.values), way


def test_setting_one_of_a_layers_tensors_keeps_the_other(model, rendered):
    layer = load_cache(Arriving(rendered), model).layers[1]
    layer.keys = layer.keys.clone() + 1
    whole = load_cache(rendered, model).layers[1]
    assert torch.equal(layer.keys, whole.keys + 1)
    assert torch.equal(layer.values, whole.values)
    other = load_cache(Arriving(rendered), model).layers[1]
    other.values = torch.zeros(1)
    assert torch.equal(other.keys, whole.keys)


def test_a_layer_that_was_reset_is_empty(model, rendered):
    arriving = Arriving(rendered)
    layer = load_cache(arriving, model).layers[0]
    layer.reset()
    assert layer.get_seq_length() == 0
    assert layer.keys is None
    assert arriving.trace == []


def test_a_layer_that_does_not_come_fails_the_forward_pass_each_time(model, rendered):
    inputs = decode_inputs(Arriving(rendered, lost=2), model, QUESTION)
    for _ in range(2):
        with torch.no_grad(), pytest.raises(DigestMismatchError) as caught:
            model(**inputs)
        assert caught.value.details["layer"] == 2


def test_generate_raises_what_kept_a_layer_from_coming(model, rendered):
    with pytest.raises(DigestMismatchError):
        greedy(model, Arriving(rendered, lost=3))


def test_a_fragment_can_be_cut_from_a_cache_that_arrived(model):
    """Its layers are plain ones: nothing of what they hold is lost."""
    fragment = capture(model, None, IDS)
    cache = load_cache(Arriving(render_of([fragment])), model)
    again = fragment_from_cache(cache, model, start=0, seq_len=len(IDS), token_ids=IDS)
    assert again.fragment_id == fragment.fragment_id


def test_a_render_of_some_layers_is_refused(model):
    fragment = capture(model, None, IDS)
    plan = place([fragment.header], layers=LayerRange(0, 2))
    half = render(plan, {fragment.fragment_id: fragment})
    with pytest.raises(ModelMismatchError, match="all 4 layers, got layers 0 to 1"):
        load_cache(Arriving(half), model)


def test_dtype_and_device_are_the_models():
    model = make_model("llama", dtype=torch.bfloat16)
    layer = load_cache(Arriving(render_of([capture(model, None, IDS)])), model).layers[0]
    assert (layer.dtype, layer.device) == (torch.bfloat16, model.device)
    assert torch.equal(layer.keys, plain_prefill(model, IDS).layers[0].keys)
