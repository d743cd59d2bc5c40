"""The oracle of the whole package: what a render holds is what the model itself would have made."""

import pytest
import torch

from latentcrdt.core.geometry import Dtype
from latentcrdt.core.plan import Layout
from latentcrdt.hf import ModelContract, capture, load_cache
from tests.hf.oracle import (
    BOUNDS,
    assert_close,
    layers_of,
    layers_of_cache,
    next_logits,
    plain_prefill,
    render_of,
)
from tests.hf.shift import FILLER, MOVED
from tests.hf.tiny_models import make_model
from tests.hf.variants import VARIANTS

FIRST, SECOND = FILLER, MOVED
QUESTION = [14, 8, 90]

FEW = ["llama", "gemma3_text", "glm4", "smollm3"]
"""One of each: plain; sliding with two thetas; interleaved and partial; layers without rope."""


@pytest.mark.parametrize("variant", FEW)
def test_a_fragment_moves_backwards_as_well(variant):
    model = make_model(variant, dtype=torch.float16)
    there = capture(model, None, SECOND, start=300)
    rendered = render_of([there])
    assert rendered.plan.placements[0].delta == -300
    expected = layers_of(capture(model, None, SECOND))
    assert_close(layers_of(rendered), expected, BOUNDS[Dtype.F16])


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_prefix_and_what_was_captured_behind_it_equal_one_full_prefill(variant):
    model = make_model(variant)
    prefix = capture(model, None, FIRST)
    behind = capture(model, None, SECOND, prefix=prefix)
    rendered = render_of([behind], [prefix])
    expected = layers_of_cache(plain_prefill(model, FIRST + SECOND))
    assert_close(layers_of(rendered), expected, BOUNDS[Dtype.F32])


@pytest.mark.parametrize("variant", FEW)
def test_a_chain_of_prefixes_equals_one_full_prefill(variant):
    model = make_model(variant)
    outer = capture(model, None, FIRST[:4])
    inner = capture(model, None, FIRST[4:], prefix=outer)
    behind = capture(model, None, SECOND, prefix=[outer, inner])
    rendered = render_of([behind], [outer, inner])
    expected = layers_of_cache(plain_prefill(model, FIRST + SECOND))
    assert_close(layers_of(rendered), expected, BOUNDS[Dtype.F32])


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_render_of_one_fragment_decodes_as_a_plain_prefill_does(variant):
    model = make_model(variant)
    cache = load_cache(render_of([capture(model, None, FIRST)]), model)
    logits = next_logits(model, cache, QUESTION, len(FIRST))
    expected = next_logits(model, plain_prefill(model, FIRST), QUESTION, len(FIRST))
    torch.testing.assert_close(logits, expected, rtol=0, atol=0)  # nothing moved: the same bytes


@pytest.mark.parametrize("layout", [Layout.SEQUENTIAL, Layout.PARALLEL, Layout.SLOTTED], ids=str)
@pytest.mark.parametrize("variant", FEW)
def test_two_fragments_decode_as_if_each_was_captured_where_the_layout_places_it(variant, layout):
    model = make_model(variant)
    pair = [capture(model, None, FIRST), capture(model, None, SECOND)]
    stride = 40 if layout is Layout.SLOTTED else None
    rendered = render_of(pair, layout=layout, stride=stride)
    starts = [placement.new_start for placement in rendered.plan.placements]
    in_place = [
        capture(model, None, ids, start=start)
        for ids, start in zip((FIRST, SECOND), starts, strict=True)
    ]
    unmoved = render_of(in_place, layout=layout, stride=stride)
    assert [placement.delta for placement in unmoved.plan.placements] == [0, 0]
    position = rendered.plan.next_position
    logits = next_logits(model, load_cache(rendered, model), QUESTION, position)
    expected = next_logits(model, load_cache(unmoved, model), QUESTION, position)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


def test_sliding_layers_keep_one_row_less_than_their_window():
    model = make_model("gemma3_text")
    fragment = capture(model, None, FIRST)
    rows = [keys.shape[1] for keys, _ in layers_of(fragment)]
    assert rows == [5, 9, 5, 9]
    windows = [spec.window for spec in ModelContract.of(model).geometry.layers]
    assert windows == [6, None, 6, None]
