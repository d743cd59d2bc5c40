"""The arithmetic of selective computation in float64, where a wrong row cannot hide in noise."""

import numpy as np
import pytest
import torch

from latentcrdt.agents.repair.cacheblend import CacheBlend
from latentcrdt.agents.repair.inputs import of_tokens
from latentcrdt.agents.repair.replay import Replay
from latentcrdt.agents.repair.rows import LayerRows
from latentcrdt.agents.repair.selective import recompute
from latentcrdt.agents.repair.self_test import check_recompute, recompute_error
from latentcrdt.errors import UnsupportedModelError
from latentcrdt.hf import ModelContract
from latentcrdt.hf.self_test import rotate
from tests.agents.repair.worlds import PARTS, PREFIX
from tests.hf.oracle import plain_prefill
from tests.hf.tiny_models import make_model
from tests.hf.variants import VARIANTS

TIGHT = 1e-12
"""Relative error of two ways through a tiny model in float64; measured 1e-15."""


def make_replay(variant):
    """Three parts captured behind one prefix and laid in a row, in float64 throughout."""
    model, double = make_model(variant), make_model(variant).double()
    geometry = ModelContract.of(model).geometry
    prefix = plain_prefill(double, PREFIX).layers
    rows, position = [[(layer.keys, layer.values)] for layer in prefix], len(PREFIX)
    for part in PARTS:
        alone = plain_prefill(double, [*PREFIX, *part]).layers
        for i, layer in enumerate(alone):
            keys, values = (t[:, :, len(PREFIX) :] for t in (layer.keys, layer.values))
            keys = rotate(keys, geometry.rope_of(i), position - len(PREFIX))
            rows[i].append((keys, values))
        position += len(part)
    held = torch.ones(position, dtype=torch.bool)
    layers = [
        LayerRows(torch.cat([k for k, _ in r], 2), torch.cat([v for _, v in r], 2), held, None)
        for r in rows
    ]
    token_ids = torch.tensor([i for part in PARTS for i in part])
    return Replay(double, layers, of_tokens(double, token_ids, None), len(PREFIX), 0)


def dense(replay):
    token_ids = [*PREFIX, *replay.inputs.token_ids.tolist()]
    return [(layer.keys, layer.values) for layer in plain_prefill(replay.model, token_ids).layers]


def error(actual, expected):
    return float((actual - expected).norm() / expected.norm())


@pytest.fixture(params=["llama", "glm4", "qwen3", "smollm3"])
def replay(request):
    return make_replay(request.param)


def test_all_rows_but_the_first_fragments_computed_again_are_a_prefill(replay):
    first = len(PREFIX) + len(PARTS[0])
    recompute(replay, torch.arange(first, replay.num_rows))
    for rows, (keys, values) in zip(replay.layers, dense(replay), strict=True):
        assert error(rows.keys, keys) < TIGHT
        assert error(rows.values, values) < TIGHT


def test_many_passes_are_one(replay, monkeypatch):
    monkeypatch.setattr("latentcrdt.agents.repair.selective.MASK_ELEMENTS", 3 * replay.num_rows)
    recompute(replay, torch.arange(len(PREFIX) + len(PARTS[0]), replay.num_rows))
    for rows, (keys, values) in zip(replay.layers, dense(replay), strict=True):
        assert error(rows.keys, keys) < TIGHT
        assert error(rows.values, values) < TIGHT


def test_rows_of_the_check_layer_are_those_of_a_prefill(replay):
    for layer in range(2):
        keys, values = replay.fresh(layer)
        expected = dense(replay)[layer]
        assert error(keys, expected[0][:, :, len(PREFIX) :]) < TIGHT
        assert error(values, expected[1][:, :, len(PREFIX) :]) < TIGHT


def test_a_model_works_as_before_after_a_pass_that_ended_early(replay):
    before = torch.cat([part.flatten() for pair in dense(replay) for part in pair])
    replay.fresh(1)
    after = torch.cat([part.flatten() for pair in dense(replay) for part in pair])
    assert torch.equal(before, after)


@pytest.mark.parametrize("share", [0.05, 0.15, 0.5, 0.95, 1.0])
def test_the_selected_rows_are_those_of_a_naive_implementation(replay, share):
    keys, values = dense(replay)[1]
    rows = replay.layers[1]
    distances = []
    for token in range(len(PREFIX), replay.num_rows):
        differences = [
            (a[0, :, token] - b[0, :, token]).numpy()
            for a, b in ((keys, rows.keys), (values, rows.values))
        ]
        distances.append(sum(float(np.sum(d * d)) for d in differences))
    count = round(share * len(distances))
    ranked = sorted(range(len(distances)), key=lambda token: (-distances[token], token))
    expected = sorted(len(PREFIX) + token for token in ranked[:count])
    got = CacheBlend(replay.model, share=share).select(replay).tolist()
    # The first fragment's distances are rounding errors: their order means nothing.
    noise = set(range(len(PREFIX), len(PREFIX) + len(PARTS[0])))
    assert [row for row in got if row not in noise] == [r for r in expected if r not in noise]
    assert len(got) == count


def test_of_equally_distant_rows_the_earlier_are_taken(replay, monkeypatch):
    behind = slice(len(PREFIX), None)
    rows = replay.layers[1]
    rows.keys[:, :, behind] = 0
    equally_far = (torch.ones_like(rows.keys[:, :, behind]), rows.values[:, :, behind])
    monkeypatch.setattr(Replay, "fresh", lambda *_: equally_far)
    assert CacheBlend(replay.model, share=0.25).select(replay).tolist() == [4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_family_heeds_the_mask(variant):
    assert recompute_error(make_model(variant)) < 1e-5


def test_a_model_that_does_not_heed_the_mask_is_refused():
    model = make_model("llama")
    for layer in model.model.layers:
        layer.self_attn.register_forward_pre_hook(
            lambda _module, args, kwargs: (args, {**kwargs, "attention_mask": None}),
            with_kwargs=True,
        )
    with pytest.raises(UnsupportedModelError, match="does not heed the mask"):
        check_recompute(model)


def test_the_self_test_runs_again_when_a_weight_was_changed():
    model = make_model("llama")
    check_recompute(model)
    with torch.no_grad():
        model.lm_head.weight.mul_(float("nan"))
        model.model.layers[2].mlp.up_proj.weight.mul_(float("nan"))
    with pytest.raises(UnsupportedModelError):
        check_recompute(model)
