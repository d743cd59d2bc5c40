"""What no repair can do is refused by name, before anything is computed."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from latentcrdt.agents.repair import CacheBlend, LegoLink, Reprefill
from latentcrdt.agents.repair.rows import LayerRows
from latentcrdt.agents.repair.selective import check_sight
from latentcrdt.core.fragment import Fragment
from latentcrdt.core.placement import place
from latentcrdt.core.plan import LayerRange, Layout
from latentcrdt.errors import InvalidRequestError, ModelMismatchError, UnrepairableError
from latentcrdt.hf import capture
from tests.agents.repair.worlds import PARTS, capture_latent, make_world, world_of
from tests.hf.tiny_models import make_model

REPAIRS = [Reprefill, LegoLink, CacheBlend]


@pytest.fixture(scope="module")
def model():
    return make_model("llama")


@pytest.fixture(params=REPAIRS, ids=["reprefill", "legolink", "cacheblend"])
def repair(request, model):
    return request.param(model)


def test_withheld_tokens_are_refused_with_the_fragments_id(model, repair):
    known = capture(model, None, PARTS[0])
    withheld = capture(model, None, PARTS[1], withhold_token_ids=True)
    world = world_of(model, [known, withheld])
    with pytest.raises(UnrepairableError, match="its sender withheld them") as caught:
        repair.apply(world.plan, world.fragments)
    assert caught.value.details["id"] == str(withheld.fragment_id)


def test_latent_rows_without_their_embeddings_are_refused(model, repair):
    whole = capture_latent(model, PARTS[0], 2)
    header = whole.header
    sections = [(whole.keys(i), whole.values(i)) for i in range(len(header.geometry.layers))]
    without = Fragment.build(
        header.geometry,
        sections,
        start=0,
        seq_len=header.seq_len,
        token_ids=list(header.token_ids),
    )
    world = world_of(model, [without])
    with pytest.raises(UnrepairableError, match="2 latent rows"):
        repair.apply(world.plan, world.fragments)


@pytest.mark.parametrize("layout", [Layout.PARALLEL, Layout.SLOTTED], ids=str)
def test_layouts_that_are_no_sequence_are_refused(model, repair, layout):
    fragments = [capture(model, None, part) for part in PARTS]
    stride = 20 if layout is Layout.SLOTTED else None
    plan = place([f.header for f in fragments], layout=layout, stride=stride)
    with pytest.raises(UnrepairableError, match=f"expected layout sequential.*{layout}"):
        repair.derivation(plan)


def test_a_render_of_some_layers_is_refused(model, repair):
    fragment = capture(model, None, PARTS[0])
    plan = place([fragment.header], layers=LayerRange(1, 3))
    with pytest.raises(UnrepairableError, match="all 4 layers, got 1 to 2"):
        repair.derivation(plan)


def test_fragments_of_another_model_are_refused(repair):
    world = make_world(make_model("llama", seed=1))
    with pytest.raises(ModelMismatchError, match="model_id"):
        repair.derivation(world.plan)


def test_rows_that_a_sliding_layer_did_not_keep_are_refused_by_layer_and_window():
    model = make_model("mistral sliding")
    world = make_world(model)
    with pytest.raises(UnrepairableError, match="sliding layer") as caught:
        CacheBlend(model).apply(world.plan, world.fragments)
    assert caught.value.details == {"layer": 1, "window": 6}


def test_a_token_in_the_middle_that_looks_at_lost_rows_is_refused():
    model = make_model("gemma3_text")  # its first layer slides, the layer that is compared does not
    world = make_world(model, [[*range(3, 33)], [*range(40, 70)]])
    with pytest.raises(UnrepairableError, match="the 5 rows before it") as caught:
        CacheBlend(model, share=0.3).apply(world.plan, world.fragments)
    assert caught.value.details == {"layer": 0, "window": 6}


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.data(), st.integers(2, 6))
def test_what_a_row_sees_is_what_a_naive_walk_over_its_window_sees(held, data, window):
    count = len(held)
    chosen = sorted(data.draw(st.sets(st.integers(0, count - 1), min_size=1)))
    rows = LayerRows(torch.zeros(1), torch.zeros(1), torch.tensor(held), window)
    there = [held[row] or row in chosen for row in range(count)]
    sees_all = all(there[row] for c in chosen for row in range(max(0, c - window + 1), c))
    if sees_all:
        check_sight([rows], torch.tensor(chosen))
    else:
        with pytest.raises(UnrepairableError):
            check_sight([rows], torch.tensor(chosen))


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_outside_0_to_1_is_refused(model, share):
    with pytest.raises(InvalidRequestError, match="share: expected 0 to 1"):
        CacheBlend(model, share=share)


def test_a_negative_number_of_rows_is_refused(model):
    with pytest.raises(InvalidRequestError, match="rows: expected at least 0"):
        LegoLink(model, rows=-1)
