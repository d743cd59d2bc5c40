"""Against mpmath, whose results are right to more digits than are asked for."""

import mpmath
import numpy as np
import pytest

from latentcrdt.merging.sums import cosine, fold, norm
from latentcrdt.merging.trigonometry import angle_between, sin

ANGLES = [*np.linspace(0, np.pi, 301), 1e-12, 1e-6, np.pi / 2, np.pi - 1e-9]


def test_the_sine_is_right_to_a_unit_of_1() -> None:
    got = sin(np.array(ANGLES))
    for angle, value in zip(ANGLES, got, strict=True):
        assert abs(mpmath.sin(mpmath.mpf(angle)) - value) < 1e-15


@pytest.mark.parametrize("angle", ANGLES)
def test_the_angle_between_unit_vectors_is_found_again(angle: float) -> None:
    chord, cochord = (float(2 * f(mpmath.mpf(angle) / 2)) for f in (mpmath.sin, mpmath.cos))
    got = angle_between(np.array([chord]), np.array([cochord]))
    assert abs(got[0] - angle) <= 1e-15 * max(angle, 1)


def test_a_fold_sums_over_any_axes_and_keeps_their_places() -> None:
    values = np.arange(2 * 3 * 5 * 7.0).reshape(2, 3, 5, 7)
    for axes in (-1, 0, (-2, -1), (0, 2), (3, 1)):
        assert np.array_equal(fold(values, axes), values.sum(axis=axes, keepdims=True))


def test_a_fold_adds_in_the_order_of_the_specification() -> None:
    rng = np.random.default_rng(7)
    values = rng.normal(size=13) * 10.0 ** rng.integers(-20, 20, 13)
    padded = np.concatenate([values, np.zeros(3)])
    while len(padded) > 1:
        half = len(padded) // 2
        padded = padded[:half] + padded[half:]
    assert fold(values, -1)[0] == padded[0]


def test_a_zero_vector_has_cosine_0_with_any_other() -> None:
    assert cosine(np.zeros((1, 3)), np.ones((1, 3)), -1)[0, 0] == 0
    assert norm(np.array([[3.0, 4.0]]), -1)[0, 0] == 5
