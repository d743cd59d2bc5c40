"""Repairs of a trained model's fragments: each brings the rows nearer to the whole text's."""

from __future__ import annotations

import numpy as np
import pytest

from latentcrdt.agents.repair import CacheBlend, LegoLink, Reprefill
from latentcrdt.hf import capture, load_smollm2
from tests.agents.repair.worlds import world_of
from tests.hf.oracle import assert_close, layers_of

TEXTS = (
    "Mirelle sells bread at the corner of Candle Street. She opens at six in the morning.\n",
    "The tram stops in front of her window, and its driver buys a roll there every day.\n",
    "In March the company wanted to move the stop. Nobody in the street liked that.\n",
)
F32_BOUND = 1e-4
"""Relative error of 30 layers in float32, as in tests/hf/test_smollm2.py."""


@pytest.fixture(scope="module")
def smollm():
    return load_smollm2()


@pytest.fixture(scope="module")
def world(smollm):
    return world_of(smollm[0], [capture(*smollm, text) for text in TEXTS])


def distance(world, fragment) -> float:
    """Root of the summed squares, over all layers, of K and V from those of a prefill of all."""
    pairs = zip(layers_of(fragment), world.dense(fragment), strict=True)
    squares = [
        np.square(a - b).sum() for got, wanted in pairs for a, b in zip(got, wanted, strict=True)
    ]
    return float(np.sqrt(sum(squares)))


@pytest.mark.parametrize(
    "make",
    [Reprefill, lambda m: LegoLink(m, rows=99), lambda m: CacheBlend(m, share=1.0)],
    ids=["reprefill", "legolink", "cacheblend"],
)
def test_everything_computed_again_is_a_prefill_of_everything(smollm, world, make):
    derived = make(smollm[0]).apply(world.plan, world.fragments)
    assert_close(layers_of(derived), world.dense(derived), F32_BOUND)


def test_a_few_rows_computed_again_bring_all_rows_nearer(smollm, world):
    model = smollm[0]
    unrepaired, linked, blended, more = (
        distance(world, repair.apply(world.plan, world.fragments))
        for repair in (
            LegoLink(model, rows=0),
            LegoLink(model, rows=4),
            CacheBlend(model, share=0.15),
            CacheBlend(model, share=0.5),
        )
    )
    assert linked < unrepaired
    assert more < blended < unrepaired
