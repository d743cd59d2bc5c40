"""Where a merge lies, and the bound on its loss, beside formulas written out another way."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st

from latentcrdt.merging.models.bound import (
    GRADIENT,
    SMOOTHNESS,
    Constants,
    curvatures,
    path_length,
    slopes,
    upper_bound,
)
from latentcrdt.merging.models.geometry import (
    angle,
    arc_ratio,
    cosine_distance,
    linear_cka,
    midness,
)
from latentcrdt.merging.operators import lerp, slerp

seeds = st.integers(0, 2**32 - 1)
alphas = st.floats(0.05, 0.95)


def rows(seed, n=6, d=8, count=2):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n, d, generator=generator, dtype=torch.float64) for _ in range(count)]


@given(seeds)
def test_angle_and_distance_are_those_of_arccos(seed):
    a, b = rows(seed)
    cosines = torch.nn.functional.cosine_similarity(a, b)
    assert torch.allclose(angle(a, b), torch.arccos(cosines), atol=1e-7)
    assert torch.allclose(cosine_distance(a, b), 1 - cosines, atol=1e-12)


def test_a_distance_near_zero_keeps_its_digits():
    a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 1e-6]])
    assert cosine_distance(a, b).item() == pytest.approx(5e-13, rel=1e-6)


@given(seeds, alphas)
def test_slerp_goes_alpha_of_the_way(seed, alpha):
    a, b = rows(seed)
    assert torch.allclose(arc_ratio(a, b, slerp(a, b, alpha)), torch.tensor(alpha).double())


@given(seeds, seeds)
def test_midness_is_at_most_1_and_1_only_in_the_middle(seed, other):
    a, b = rows(seed)
    (merged,) = rows(other, count=1)
    assert (midness(a, b, merged) <= 1).all()
    assert torch.allclose(midness(a, b, slerp(a, b, 0.5)), torch.ones(6).double())
    assert torch.allclose(midness(a, b, a), torch.zeros(6).double(), atol=1e-9)
    assert torch.allclose(midness(a, b, merged), midness(b, a, merged))


def test_models_that_agree_have_no_way_between_them():
    a = torch.ones(1, 3)
    assert midness(a, a, a).item() == 1
    assert arc_ratio(a, a, a).isnan().all()
    assert angle(a, torch.zeros(1, 3)).item() == 0


@given(seeds, seeds)
def test_cka_is_that_of_centred_gram_matrices(seed, other):
    """An independent path: Hilbert-Schmidt inner products of Gram matrices, n by n."""
    x, y = rows(seed, n=12)
    (turn,) = rows(other, n=8, count=1)
    n = len(x)
    centre = np.eye(n) - 1 / n
    k, m = (centre @ (z.numpy() @ z.numpy().T) @ centre for z in (x, y))
    expected = (k * m).sum() / math.sqrt((k * k).sum() * (m * m).sum())
    assert linear_cka(x, y) == pytest.approx(expected, abs=1e-5)
    rotation = torch.linalg.qr(turn).Q
    assert linear_cka(x, 3 * x @ rotation + 5) == pytest.approx(1, abs=1e-5)
    assert linear_cka(x, torch.ones(n, 3)) == 0


@given(seeds, st.integers(0, 4))
def test_gradient_and_smoothness_hold_for_cross_entropy(seed, target):
    logits = 5 * rows(seed, n=1, d=5, count=1)[0][0]

    def loss(z):
        return torch.nn.functional.cross_entropy(z[None], torch.tensor([target]))

    gradient = torch.autograd.functional.jacobian(loss, logits)
    hessian = torch.autograd.functional.hessian(loss, logits)
    assert torch.linalg.vector_norm(gradient) <= GRADIENT + 1e-12
    assert torch.linalg.eigvalsh(hessian).max() <= SMOOTHNESS + 1e-12


class Layers:
    """Something curved between a hidden state and its logits, and another like it."""

    def __init__(self, seed):
        (self.first,), (self.second,) = rows(seed, n=8, d=6, count=1), rows(seed + 1, 6, 5, 1)

    def __call__(self, hidden):
        return torch.tanh(hidden @ self.first) @ self.second


@given(seeds, seeds, alphas, st.sampled_from([lerp, slerp]), st.booleans())
@example(0, 1, 0.5, lerp, False)
def test_with_the_constants_that_a_token_asks_for_the_bound_holds(
    seed, other, alpha, operator, foreign
):
    a, b = rows(seed)
    own, head = Layers(other), Layers(other + 7) if foreign else Layers(other)
    of_lerp, merged = lerp(a, b, alpha), operator(a, b, alpha)
    distance = torch.linalg.vector_norm(b - a, dim=-1)
    deviation = torch.linalg.vector_norm(merged - of_lerp, dim=-1)
    curvature = curvatures(alpha, (own(a), own(b), own(of_lerp)), distance).max()
    slope = slopes(own(merged), own(of_lerp), deviation) if operator is slerp else torch.zeros(1)
    wanted = torch.arange(len(a)) % 5

    def loss(logits):
        return torch.nn.functional.cross_entropy(logits, wanted, reduction="none")

    bound = upper_bound(
        alpha,
        (loss(own(a)), loss(head(b))),
        distance,
        Constants(float(curvature), float(slope.max())),
        head_distance=torch.linalg.vector_norm(own(b) - head(b), dim=-1),
        deviation=deviation,
    )
    # What the source leaves out where an operator is not lerp: both strays count at once.
    chord = curvature / 2 * alpha * (1 - alpha) * distance**2
    both = SMOOTHNESS * chord * slope.max() * deviation
    assert (loss(own(merged)) <= bound + both + 1e-9).all()


def test_the_bound_is_the_formula_of_the_source():
    a, d, k, g, h, delta, slope = 0.25, 2.0, 3.0, math.sqrt(2), 0.4, 0.3, 1.7
    expected = (1 - a) * 1.0 + a * 2.0 + g * k / 2 * a * (1 - a) * d**2
    expected += 0.5 * k**2 / 8 * a**2 * (1 - a) ** 2 * d**4
    expected += a * g * h + a * 0.25 * h**2
    expected += g * slope * delta + 0.25 * slope**2 * delta**2
    found = upper_bound(
        a,
        (torch.tensor(1.0).double(), torch.tensor(2.0).double()),
        torch.tensor(d).double(),
        Constants(k, slope),
        head_distance=h,
        deviation=delta,
    )
    assert found.item() == pytest.approx(expected, rel=1e-6)


def test_layers_that_are_linear_ask_for_no_curvature():
    a, b = rows(3)
    (matrix,) = rows(4, n=8, d=5, count=1)
    logits = (a @ matrix, b @ matrix, lerp(a, b, 0.3) @ matrix)
    assert curvatures(0.3, logits, torch.ones(6)).max() < 1e-12


def test_a_path_counts_every_earlier_token():
    difference = torch.tensor([[3.0, 0.0], [0.0, 4.0], [0.0, 0.0]])
    assert path_length(difference).tolist() == [3.0, 5.0, 5.0]


@given(seeds, alphas)
def test_between_equal_lengths_slerp_strays_from_lerp_by_half_the_source_s_term_at_most(
    seed, alpha
):
    """|slerp - lerp| <= a (1-a) theta^2 |x| / 2: the source's c is 1/2 on a sphere."""
    a, b = (x / torch.linalg.vector_norm(x, dim=-1, keepdim=True) for x in rows(seed, d=3))
    theta = angle(a, b)
    assume((theta < 3.1).all())
    strayed = torch.linalg.vector_norm(slerp(a, b, alpha) - lerp(a, b, alpha), dim=-1)
    assert (strayed <= alpha * (1 - alpha) * theta**2 / 2 * (1 + 1e-6) + 1e-12).all()


def test_between_unequal_lengths_no_constant_bounds_it_by_the_square_of_the_angle():
    """A counterexample to the source: lengths 1 and 2, ever smaller angles; the ratio grows."""
    ratios = []
    for theta in (1e-1, 1e-2, 1e-3):
        a = torch.tensor([[1.0, 0.0]]).double()
        b = 2 * torch.tensor([[math.cos(theta), math.sin(theta)]]).double()
        strayed = torch.linalg.vector_norm(slerp(a, b, 0.5) - lerp(a, b, 0.5)).item()
        ratios.append(strayed / (0.25 * theta**2 * 2))
    assert ratios[1] > 9 * ratios[0]
    assert ratios[2] > 9 * ratios[1]


@given(seeds, alphas, st.floats(0.1, 10))
def test_with_the_difference_of_lengths_it_is_bounded(seed, alpha, scale):
    """|slerp - lerp| <= a (1-a) (theta | |a| - |b| | + theta^2 max(|a|, |b|) / 2)."""
    a, b = rows(seed, d=3)
    b = scale * b
    lengths = [torch.linalg.vector_norm(x, dim=-1) for x in (a, b)]
    theta = angle(a, b)
    assume((theta < 3.1).all())
    strayed = torch.linalg.vector_norm(slerp(a, b, alpha) - lerp(a, b, alpha), dim=-1)
    apart, longest = (lengths[0] - lengths[1]).abs(), torch.maximum(*lengths)
    limit = alpha * (1 - alpha) * (theta * apart + theta**2 / 2 * longest)
    assert (strayed <= limit * (1 + 1e-6) + 1e-12).all()
