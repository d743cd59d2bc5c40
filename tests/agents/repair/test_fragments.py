"""Repairs of fragments against a prefill of everything, and against the render they began with."""

import numpy as np
import pytest
import torch

from latentcrdt.agents.repair import CacheBlend, LegoLink, Reprefill
from latentcrdt.core.geometry import Dtype
from tests.agents.repair.worlds import (
    PARTS,
    PREFIX,
    capture_latent,
    dense_with_latents,
    make_world,
    world_of,
)
from tests.hf.oracle import BOUNDS, assert_close, layers_of
from tests.hf.tiny_models import make_model

FAMILIES = ["llama", "qwen3", "glm4", "smollm3", "gemma3_text", "mistral sliding", "gpt_oss"]
"""Half and interleaved pairs, K norms, layers without rope, sliding layers, some or all; sinks."""

SHORT = [part[:4] for part in PARTS]
"""Parts that a sliding layer with a window of 6 keeps in whole."""


@pytest.fixture(scope="module", params=FAMILIES)
def model(request):
    return make_model(request.param)


@pytest.mark.parametrize("prefixes", [(), (PREFIX, [11, 12])], ids=["alone", "two-prefixes"])
@pytest.mark.parametrize(
    "make",
    [Reprefill, lambda m: LegoLink(m, rows=99), lambda m: CacheBlend(m, share=1.0)],
    ids=["reprefill", "legolink", "cacheblend"],
)
def test_everything_computed_again_is_a_prefill_of_everything(model, make, prefixes):
    world = make_world(model, SHORT, prefixes=prefixes)
    derived = make(model).apply(world.plan, world.fragments)
    assert_close(layers_of(derived), world.dense(derived), BOUNDS[Dtype.F32])


@pytest.mark.parametrize(
    "make", [Reprefill, lambda m: LegoLink(m, rows=99)], ids=["reprefill", "legolink"]
)
def test_what_a_sliding_layer_did_not_keep_is_not_needed_where_all_is_computed(model, make):
    world = make_world(model, PARTS, prefixes=[PREFIX])
    derived = make(model).apply(world.plan, world.fragments)
    assert_close(layers_of(derived), world.dense(derived), BOUNDS[Dtype.F32])


def test_independent_fragments_are_far_from_a_prefill_of_everything(model):
    world = make_world(model)
    derived = LegoLink(model, rows=0).apply(world.plan, world.fragments)
    with pytest.raises(AssertionError, match="relative error"):
        assert_close(layers_of(derived), world.dense(derived), 0.05)


@pytest.mark.parametrize("prefixes", [(), (PREFIX,)], ids=["alone", "prefix"])
@pytest.mark.parametrize(
    "make",
    [lambda m: LegoLink(m, rows=0), lambda m: CacheBlend(m, share=0.0)],
    ids=["legolink", "cacheblend"],
)
def test_nothing_computed_again_is_the_render_to_the_byte(model, make, prefixes):
    world = make_world(model, prefixes=prefixes)
    derived = make(model).apply(world.plan, world.fragments)
    for (keys, values), expected in zip(layers_of(derived), world.unrepaired(), strict=True):
        assert np.array_equal(keys, expected[0])
        assert np.array_equal(values, expected[1])


@pytest.mark.parametrize(
    "make",
    [lambda m: LegoLink(m, rows=2), lambda m: CacheBlend(m, share=0.4)],
    ids=["legolink", "cacheblend"],
)
@pytest.mark.parametrize("variant", ["llama", "gemma3_text"])
def test_only_the_chosen_rows_change_and_all_of_them_do(variant, make):
    model = make_model(variant)
    world = make_world(model, SHORT)
    repair = make(model)
    derived = repair.apply(world.plan, world.fragments)
    if isinstance(repair, LegoLink):
        chosen = repair.select(world.plan).tolist()
        assert chosen == [4, 5, 8, 9]  # none of the first: computed again, they may be the same
    else:
        from latentcrdt.agents.repair.replay import Replay

        chosen = repair.select(Replay.of(world.plan, world.fragments, model)).tolist()
        assert len(chosen) == round(0.4 * 12)
    assert derived.header.num_latent_rows == 0
    for layer, (got, before) in enumerate(zip(layers_of(derived), world.unrepaired(), strict=True)):
        count = got[0].shape[1]
        changed = [
            12 - count + row
            for row in range(count)
            if any(not np.array_equal(got[p][:, row], before[p][:, row]) for p in (0, 1))
        ]
        expected = [row for row in chosen if row >= 12 - count]
        # In the first layer rows depend on token and position alone: computed again, the same.
        assert set(changed) <= set(expected)
        if layer > 0:
            assert changed == expected


def test_what_is_computed_again_comes_closer_to_a_prefill_of_everything():
    model = make_model("llama")
    world = make_world(model)

    def distance(rows):
        derived = LegoLink(model, rows=rows).apply(world.plan, world.fragments)
        pairs = zip(layers_of(derived), world.dense(derived), strict=True)
        return sum(
            np.linalg.norm(a - b) for got, want in pairs for a, b in zip(got, want, strict=True)
        )

    distances = [distance(rows) for rows in (0, 2, 4, 9)]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] < 1e-4 * distances[0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_is_repaired_within_its_noise(dtype):
    model = make_model("llama", dtype=dtype)
    world = make_world(model, prefixes=[PREFIX])
    bound = BOUNDS[world.plan.geometry.dtype]
    for repair in (Reprefill(model), LegoLink(model, rows=99), CacheBlend(model, share=1.0)):
        derived = repair.apply(world.plan, world.fragments)
        assert_close(layers_of(derived), world.dense(derived), bound)


@pytest.mark.parametrize(
    "make",
    [Reprefill, lambda m: LegoLink(m, rows=99), lambda m: CacheBlend(m, share=1.0)],
    ids=["reprefill", "legolink", "cacheblend"],
)
@pytest.mark.parametrize("variant", ["llama", "gemma3_text"])
def test_latent_rows_are_replayed_from_their_embeddings(variant, make):
    model = make_model(variant)
    captured = [
        capture_latent(model, part[:2], steps) for part, steps in zip(PARTS, (2, 1, 2), strict=True)
    ]
    captured.insert(1, make_world(model, [[44, 45]]).fragments.popitem()[1])
    world = world_of(model, captured)
    derived = make(model).apply(world.plan, world.fragments)
    dense = dense_with_latents(model, captured)
    counts = [s.rows(derived.header.seq_len) for s in derived.header.geometry.layers]
    expected = [(k[:, -n:], v[:, -n:]) for (k, v), n in zip(dense, counts, strict=True)]
    assert_close(layers_of(derived), expected, BOUNDS[Dtype.F32])
    assert derived.header.num_latent_rows == 5


def test_a_repaired_fragment_can_be_repaired_again_with_its_latent_rows():
    model = make_model("llama")
    captured = [capture_latent(model, part[:3], 2) for part in PARTS]
    world = world_of(model, captured)
    once = LegoLink(model, rows=99).apply(world.plan, world.fragments)
    again = world_of(model, [once])
    twice = Reprefill(model).apply(again.plan, again.fragments)
    assert_close(layers_of(twice), layers_of(once), BOUNDS[Dtype.F32])
    assert twice.header.token_bytes == once.header.token_bytes
    assert twice.header.latent_inputs == once.header.latent_inputs


def test_the_derived_fragment_stands_where_the_plan_did():
    model = make_model("llama")
    world = make_world(model, prefixes=[PREFIX, [11, 12]])
    header = LegoLink(model).apply(world.plan, world.fragments).header
    assert (header.start, header.stop) == (world.plan.base, world.plan.next_position)
    assert header.prefix == world.plan.prefixes[-1].fragment_id
    assert header.geometry == world.plan.geometry
    assert header.token_ids == tuple(world.token_ids[6:])


def test_two_runs_on_one_machine_make_the_same_bytes():
    model = make_model("qwen3")
    world = make_world(model)
    for repair in (Reprefill(model), LegoLink(model, rows=3), CacheBlend(model, share=0.3)):
        first, second = (repair.apply(world.plan, world.fragments) for _ in range(2))
        assert first.fragment_id == second.fragment_id
