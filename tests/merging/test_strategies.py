from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from latentcrdt.errors import InvalidRequestError
from latentcrdt.merging.search import GRID, SEARCHES, search
from latentcrdt.merging.strategies import STRATEGIES, strategy_named
from latentcrdt.merging.strategies.layers import sigmoid
from latentcrdt.merging.strategies.rule import Symmetry
from tests.merging.naive import Layers, naive

LAYERS, HEADS, TOKENS, DIM = 4, 4, 3, 8

ALTERED: dict[str, dict[str, float]] = {
    "cosine-gated": {"weight": 0.3, "threshold": 0.8},
    "alignment-gated-v": {"weight": 0.3, "threshold": 0.85},
    "head-gated-v": {"weight": 0.3, "threshold": 0.8},
    "sigmoid-ramp": {"weight": 0.6, "steepness": 3.0},
    "sparse-interleaved": {"weight": 0.6, "every": 3.0},
    "layer-weights": {"weight": 0.6, "weight-0": 0.3, "weight-2": 0.7},
}


def branch(seed: int, near: Layers | None = None) -> Layers:
    """Return random layers; near another branch, so that cosines lie on both sides of a gate."""
    rng = np.random.default_rng(seed)
    shape = HEADS, TOKENS, DIM
    layers = []
    for i in range(LAYERS):
        pair = rng.normal(size=shape), rng.normal(size=shape)
        if near is not None:
            spread = np.linspace(0.3, 1.2, HEADS)[:, None, None]
            pair = near[i][0] + spread * pair[0], near[i][1] + spread * pair[1]
        layers.append(pair)
    return layers


def merged(name: str, branches: list[Layers], given: dict[str, float]) -> Layers:
    strategy = strategy_named(name)
    parameters = strategy.parameters(given, len(branches))
    out = []
    for layer in range(LAYERS):
        heads = zip(*(zip(*b[layer], strict=True) for b in branches), strict=True)
        rows = list(strategy.merged_heads(layer, LAYERS, enumerate(heads), parameters))
        out.append((np.stack([k for k, _ in rows]), np.stack([v for _, v in rows])))
    return out


def equal(one: Layers, other: Layers, **tolerance: Any) -> bool:
    return all(
        np.allclose(k, other_k, **tolerance) and np.allclose(v, other_v, **tolerance)
        for (k, v), (other_k, other_v) in zip(one, other, strict=True)
    )


A = branch(1)
B = branch(2, near=A)


def test_there_are_23_strategies_and_the_rule_that_one_search_ends_in() -> None:
    assert len((STRATEGIES.keys() - {"layer-weights"}) | SEARCHES.keys()) == 23
    assert not STRATEGIES.keys() & SEARCHES.keys()


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("altered", [False, True])
def test_each_follows_the_formula_of_its_row(name: str, altered: bool) -> None:
    given = ALTERED.get(name, {"weight": 0.3} if "weight" in STRATEGIES[name].defaults else {})
    given = given if altered else {}
    expected = naive(name, A, B, {**STRATEGIES[name].defaults, **given})
    assert equal(merged(name, [A, B], given), expected, rtol=1e-9, atol=1e-12)


def test_gates_stand_between_heads_and_rows_that_pass_and_those_that_do_not() -> None:
    for name, given in ALTERED.items():
        if "threshold" not in given:
            continue
        blended = merged(name, [A, B], {**given, "threshold": -1.0})
        result = merged(name, [A, B], given)
        changed = [v != a_v for (_, v), (_, a_v) in zip(result, A, strict=True)]
        kept = [(v != full).any() for (_, v), (_, full) in zip(result, blended, strict=True)]
        assert any(c.any() for c in changed), name
        assert any(kept), name


@pytest.mark.parametrize("name", STRATEGIES)
def test_symmetry_is_as_claimed(name: str) -> None:
    strategy = STRATEGIES[name]
    at_half = equal(merged(name, [A, B], {}), merged(name, [B, A], {}), rtol=1e-9)
    assert at_half == (strategy.symmetry is not Symmetry.NEVER)
    if strategy.symmetry is Symmetry.AT_HALF:
        weight = {"weight": 0.3}
        assert not equal(merged(name, [A, B], weight), merged(name, [B, A], weight))


@pytest.mark.parametrize("name", STRATEGIES)
def test_branches_that_are_equal_merge_to_themselves(name: str) -> None:
    if name == "orthogonal-injection":
        assert equal(merged(name, [A, A], {}), A, rtol=1e-12)
    else:
        assert equal(merged(name, [A, A], {}), A, rtol=0, atol=0)


@pytest.mark.parametrize("name", [n for n, s in STRATEGIES.items() if "weight" in s.defaults])
def test_at_weight_0_the_anchor_is_left(name: str) -> None:
    zero = {"weight": 0.0}
    result = merged(name, [A, B], zero)
    if name == "v-only-b-keys":
        result = [(k, v) for (_, v), (k, _) in zip(result, A, strict=True)]
    assert equal(result, A, rtol=0, atol=0)


@pytest.mark.parametrize("name", STRATEGIES)
def test_more_than_two_branches_are_taken_or_refused_by_name(name: str) -> None:
    three = [A, B, branch(3, near=A)]
    if not STRATEGIES[name].many:
        with pytest.raises(InvalidRequestError, match="exactly two"):
            merged(name, three, {})
        return
    result = merged(name, three, {})
    values = np.stack([v for _, v in (layers[0] for layers in three)])
    if name == "max-norm-head":
        norms = np.sqrt((values**2).sum(axis=(2, 3)))
        expected = np.stack([values[norms[:, h].argmax(), h] for h in range(HEADS)])
    else:
        expected = values.mean(axis=0)
    assert np.allclose(result[0][1], expected)
    if "weight" in STRATEGIES[name].defaults:
        with pytest.raises(InvalidRequestError, match="equal weights"):
            merged(name, three, {"weight": 0.3})


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("late-only", {"threshold": 0.5}, r"expected parameters \['weight'\], got \['threshold'\]"),
        ("late-only", {"weight": 1.5}, r"weight in \[0, 1\], got 1.5"),
        ("late-only", {"weight": float("nan")}, "got nan"),
        ("sparse-interleaved", {"every": 1.5}, "got 1.5"),
        ("late-only", {"weight-1": 0.5}, "weight-1"),
        ("layer-weights", {"weight-01": 0.5}, "weight-01"),
        ("layer-weights", {"weight-1": 2.0}, "weight-1 in"),
    ],
)
def test_a_wrong_parameter_is_named(name: str, given: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        merged(name, [A, B], given)


def test_an_unknown_strategy_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InvalidRequestError, match="uniform-average"):
        strategy_named("average")


def test_the_sigmoid_is_the_nearest_double() -> None:
    for x in (-5.0, -0.1, 0.0, 0.3, 5.0):
        assert abs(sigmoid(x) - 1 / (1 + np.exp(-x))) <= 2e-16


class TestSearch:
    def test_one_weight_is_the_best_of_the_grid(self) -> None:
        found = search(
            SEARCHES["weight-search"], LAYERS, lambda _, t: [abs(p["weight"] - 0.61) for p in t]
        )
        assert found.strategy == "uniform-average"
        assert found.parameters == {"weight": 0.6}
        assert found.num_trials == len(GRID)

    def test_layers_get_weights_of_their_own(self) -> None:
        wanted = {"weight-0": 0.3, "weight-1": 0.7, "weight-2": 0.5, "weight-3": 0.4}

        def objective(_: str, trials: Any) -> list[float]:
            return [
                sum(abs(given.get(n, given["weight"]) - w) for n, w in wanted.items())
                for given in trials
            ]

        found = search(SEARCHES["layer-weight-search"], LAYERS, objective)
        resolved = {n: found.parameters.get(n, found.parameters["weight"]) for n in wanted}
        assert resolved == wanted
        assert found.objective == pytest.approx(0)
        strategy_named(found.strategy).parameters(found.parameters, 2)

    def test_of_equals_the_first_tried_is_taken(self) -> None:
        found = search(
            SEARCHES["late-v-slerp-search"], LAYERS, lambda _, trials: [0.0 for _ in trials]
        )
        assert found.parameters == {"weight": GRID[0]}
