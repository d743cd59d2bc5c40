"""Laws of the operators, on numpy and on torch alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from latentcrdt.errors import InvalidRequestError
from latentcrdt.merging.operators import (
    Magnitude,
    gate,
    inject_orthogonal,
    lerp,
    longest,
    mean,
    regmean,
    share_of_norm,
    slerp,
)
from latentcrdt.merging.sums import norm

Make = Callable[[Any], Any]
LIBRARIES = pytest.mark.parametrize("make", [np.asarray, torch.as_tensor], ids=["numpy", "torch"])

finite = st.floats(-1e6, 1e6, allow_nan=False).filter(lambda x: x == 0 or abs(x) > 1e-9)
anything = st.floats(allow_nan=True, allow_infinity=True)
weights = st.floats(0, 1)


@st.composite
def pairs(draw: st.DrawFn, elements: st.SearchStrategy[float] = finite) -> tuple[Any, Any]:
    shape = draw(npst.array_shapes(min_dims=1, max_dims=4, max_side=5))
    one = npst.arrays(np.float64, shape, elements=elements)
    return draw(one), draw(one)


def same_bits(a: Any, b: Any) -> bool:
    return np.asarray(a).tobytes() == np.asarray(b).tobytes()


@given(pairs(anything), st.sampled_from([lerp, slerp]))
def test_weight_0_and_weight_1_return_the_inputs_to_the_bit(pair: Any, operator: Any) -> None:
    a, b = pair
    with np.errstate(all="ignore"):
        at_0, at_1 = operator(a, b, 0.0), operator(a, b, 1.0)
    assert same_bits(at_0, a)
    assert same_bits(at_1, b)


@given(pairs(), weights)
def test_a_lerp_lies_between_its_inputs(pair: Any, weight: float) -> None:
    a, b = pair
    mixed = lerp(a, b, weight)
    assert (np.minimum(a, b) <= mixed).all()
    assert (mixed <= np.maximum(a, b)).all()


@given(pairs(), weights, st.sampled_from([lerp, slerp]))
def test_the_blend_of_equals_is_what_they_are(pair: Any, weight: float, operator: Any) -> None:
    a, _ = pair
    assert same_bits(operator(a, a.copy(), weight), a)
    assert same_bits(mean([a, a.copy(), a.copy()]), a)


@given(pairs(), st.sampled_from([lerp, slerp]))
def test_at_half_the_inputs_may_change_places(pair: Any, operator: Any) -> None:
    a, b = pair
    assert np.array_equal(operator(a, b, 0.5), operator(b, a, 0.5))


@given(pairs(), weights)
@example((np.array([0.0, 1.0]), np.array([1.0, 1.0])), 0.5)  # an element in common
def test_a_slerp_has_the_interpolated_length(pair: Any, weight: float) -> None:
    a, b = pair
    lengths_a, lengths_b = norm(a, -1), norm(b, -1)
    turned = slerp(a, b, weight)
    expected = (1 - weight) * lengths_a + weight * lengths_b
    cosines = (a * b).sum(-1, keepdims=True) / np.maximum(lengths_a * lengths_b, 1e-300)
    turns = np.abs(cosines) < 1 - 1e-6
    assert np.allclose(norm(turned, -1)[turns], expected[turns], rtol=1e-9)


@LIBRARIES
def test_a_slerp_of_right_angles_is_sine_and_cosine(make: Make) -> None:
    a, b = make(np.array([2.0, 0.0])), make(np.array([0.0, 2.0]))
    for weight in (0.1, 0.25, 0.5, 0.9):
        expected = [2 * np.cos(weight * np.pi / 2), 2 * np.sin(weight * np.pi / 2)]
        assert np.allclose(np.asarray(slerp(a, b, weight)), expected, atol=1e-14)


@LIBRARIES
@pytest.mark.parametrize(
    ("a", "b"),
    [([0.0, 0.0], [1.0, 2.0]), ([1.0, 2.0], [2.0, 4.0]), ([1.0, 2.0], [-1.0, -2.0])],
    ids=["zero", "parallel", "opposite"],
)
def test_where_no_plane_is_given_a_slerp_is_a_lerp(make: Make, a: Any, b: Any) -> None:
    a, b = make(np.array(a)), make(np.array(b))
    assert np.array_equal(np.asarray(slerp(a, b, 0.25)), np.asarray(lerp(a, b, 0.25)))


@LIBRARIES
def test_rms_magnitude_preserves_the_mean_square(make: Make) -> None:
    rng = np.random.default_rng(1)
    a, b = (make(rng.normal(size=(4, 16))) for _ in range(2))
    square = np.asarray(norm(slerp(a, b, 0.3, magnitude=Magnitude.RMS), -1)) ** 2
    expected = 0.7 * np.asarray(norm(a, -1)) ** 2 + 0.3 * np.asarray(norm(b, -1)) ** 2
    assert np.allclose(square, expected)


@given(pairs(), weights, st.floats(0, 10))
def test_regmean_is_the_minimum_of_its_objective(pair: Any, weight: float, ridge: float) -> None:
    a, b = pair
    found = regmean(a, b, weight, ridge)
    gradient = 2 * ((1 - weight) * (found - a) + weight * (found - b) + ridge * found)
    scale = np.abs(a) + np.abs(b) + 1
    assert (np.abs(gradient) <= 1e-12 * scale * (1 + ridge)).all()


def test_a_negative_ridge_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="ridge"):
        regmean(np.ones(2), np.ones(2), 0.5, -1.0)


@given(pairs(), weights)
def test_what_is_injected_is_orthogonal_to_the_anchor(pair: Any, weight: float) -> None:
    a, b = pair
    added = inject_orthogonal(a, b, weight) - a
    inner = np.abs((added * a).sum(-1))
    scale = (np.abs(a) * (np.abs(a) + np.abs(b))).sum(-1) + (a * a).sum(-1)
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    assert (inner <= 1e-9 * (scale + lengths + 1e-12)).all()


@given(pairs())
def test_the_longest_is_one_of_them_and_the_first_of_equals(pair: Any) -> None:
    a, b = pair
    chosen = longest([a, b])
    first = norm(a, -1) >= norm(b, -1)
    assert np.array_equal(chosen, np.where(first, a, b))


@LIBRARIES
def test_the_share_of_norm_favours_the_longer_and_halves_two_zeros(make: Make) -> None:
    a, b = make(np.array([[3.0, 4.0], [0.0, 0.0]])), make(np.array([[15.0, 0.0], [0.0, 0.0]]))
    assert np.asarray(share_of_norm(a, b)).tolist() == [[0.75], [0.5]]


@LIBRARIES
def test_a_gate_lets_through_what_is_aligned(make: Make) -> None:
    a = make(np.array([[1.0, 0.0], [1.0, 0.0]]))
    b = make(np.array([[1.0, 0.1], [0.0, 1.0]]))
    passed = np.asarray(gate(a, b, make(np.full((2, 2), 9.0)), 0.7))
    assert passed.tolist() == [[9.0, 9.0], [1.0, 0.0]]


@given(pairs(), weights)
def test_torch_and_numpy_agree(pair: Any, weight: float) -> None:
    a, b = pair
    for operator in (lerp, slerp, inject_orthogonal):
        by_torch = operator(torch.as_tensor(a), torch.as_tensor(b), weight)
        assert np.allclose(np.asarray(by_torch), operator(a, b, weight), rtol=1e-9, atol=1e-9)


@LIBRARIES
def test_nan_and_infinity_pass_through_a_lerp_where_they_are(make: Make) -> None:
    a = make(np.array([np.nan, np.inf, 1.0]))
    b = make(np.array([1.0, 1.0, 3.0]))
    mixed = np.asarray(lerp(a, b, 0.5))
    assert np.isnan(mixed[0])
    assert mixed[1:].tolist() == [np.inf, 2.0]
