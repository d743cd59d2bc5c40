"""Metrics, regimes and the gate, by hand and by brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentcrdt.evals.confluence.regimes import Outcome, Thresholds, outcome_of, sensitivity
from latentcrdt.evals.confluence.roc import roc
from latentcrdt.merging.gate.metrics import (
    Metrics,
    Tokens,
    entropy,
    late_value_cosine,
    metrics_of,
)

UNIFORM = np.full((2, 8), 1 / 8)


def test_mass_balance_and_share_by_hand() -> None:
    tokens = Tokens((0,), (1, 2), are_lexical=True)
    merged = np.array([[0.4, 0.1, 0.1, 0.4, 0, 0, 0, 0], [0.2, 0.1, 0.1, 0.6, 0, 0, 0, 0]])
    alone_a = np.tile([0.8, 0, 0, 0.2, 0, 0, 0, 0], (2, 1))
    alone_b = np.tile([0, 0.3, 0.3, 0.4, 0, 0, 0, 0], (2, 1))
    metrics = metrics_of(merged, alone_a, alone_b, tokens)
    assert metrics.mass_a == pytest.approx(0.3)
    assert metrics.mass_b == pytest.approx(0.2)
    assert metrics.balance == pytest.approx(math.log(1.5))
    assert metrics.branch_mass == pytest.approx(0.5)
    assert metrics.mass_share == pytest.approx(0.5 / 0.7)


def test_the_entropy_of_a_uniform_distribution_is_the_logarithm_of_its_size() -> None:
    assert entropy(UNIFORM) == pytest.approx(math.log(8))
    certain = np.zeros((1, 8))
    certain[0, 3] = 1
    assert entropy(certain) == 0
    change = metrics_of(
        UNIFORM, np.tile(certain, (2, 1)), UNIFORM, Tokens((3,), (1,), are_lexical=True)
    )
    assert change.entropy_change == pytest.approx(math.log(8) / 2)


def test_discriminative_tokens_are_the_words_of_one_branch_only() -> None:
    tokens = Tokens.of((5, 6, 7), (5, 8, 6), UNIFORM, UNIFORM)
    assert tokens == Tokens((7,), (8,), are_lexical=True)


def test_branches_of_the_same_words_are_told_apart_by_what_they_predict() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.dirichlet(np.ones(100), size=2) for _ in range(2))
    tokens = Tokens.of((5, 6), (6, 5), a, b)
    difference = (a - b).mean(axis=0)
    assert not tokens.are_lexical
    assert min(difference[list(tokens.only_a)]) > max(np.delete(difference, tokens.only_a))
    assert max(difference[list(tokens.only_b)]) < min(np.delete(difference, tokens.only_b))


def test_the_late_cosine_looks_at_values_of_the_upper_half() -> None:
    one, other = np.ones((1, 2, 4)), -np.ones((1, 2, 4))
    a, b = [one] * 4, [other, other, one, one]
    assert late_value_cosine(a, b) == pytest.approx(1)
    assert late_value_cosine(a, b[::-1]) == pytest.approx(-1)


def metrics(balance: float, share: float) -> Metrics:
    return Metrics(math.exp(balance), 1.0, 0.0, share)


@pytest.mark.parametrize(
    ("balance", "share", "expected"),
    [
        (0.0, 1.0, Outcome.CONFLUENCE),
        (0.69, 0.5, Outcome.CONFLUENCE),
        (-0.70, 0.5, Outcome.COLLAPSE),
        (0.70, 0.5, Outcome.COLLAPSE),
        (0.0, 0.49, Outcome.WASHOUT),
        (5.0, 0.49, Outcome.WASHOUT),
    ],
)
def test_regimes_lie_where_they_are_said_to(
    balance: float, share: float, expected: Outcome
) -> None:
    assert outcome_of(metrics(balance, share), Thresholds()) is expected


def test_wider_borders_make_more_confluence() -> None:
    rng = np.random.default_rng(1)
    merges = [
        metrics(b, s) for b, s in zip(rng.normal(size=60), rng.uniform(0, 1, 60), strict=True)
    ]
    rows = sensitivity(merges)
    assert len(rows) == 15
    for share in (0.25, 0.5, 0.75):
        shares = [row["confluence"] for row in rows if row["mass_share"] == share]
        assert shares == sorted(shares)
        assert shares[0] < shares[-1]
    for row in rows:
        assert sum(float(str(row[str(o)])) for o in Outcome) == pytest.approx(1)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_the_area_is_the_chance_that_a_case_has_the_greater_signal(
    entries: list[tuple[int, bool]],
) -> None:
    signal, is_case = [float(s) for s, _ in entries], [c for _, c in entries]
    cases = [s for s, c in entries if c]
    others = [s for s, c in entries if not c]
    curve = roc(signal, is_case, range(len(entries)))
    if not cases or not others:
        assert curve is None
        return
    wins = sum((a > b) + (a == b) / 2 for a in cases for b in others)
    assert curve is not None
    assert curve.area == pytest.approx(wins / (len(cases) * len(others)))
    assert (curve.false_positive[-1], curve.true_positive[-1]) == (1, 1)
    points = zip(curve.limits, curve.false_positive, curve.true_positive, strict=True)
    for limit, false_positive, true_positive in points:
        assert false_positive == pytest.approx(sum(s > limit for s in others) / len(others))
        assert true_positive == pytest.approx(sum(s > limit for s in cases) / len(cases))


def test_the_interval_of_an_area_is_as_wide_as_the_clusters_are_few() -> None:
    rng = np.random.default_rng(2)
    is_case = [i % 2 == 0 for i in range(200)]
    signal = [rng.normal(1.0 if case else 0.0) for case in is_case]
    apart = roc(signal, is_case, range(200))
    together = roc(signal * 4, is_case * 4, [*range(200)] * 4)
    as_if_new = roc(signal * 4, is_case * 4, range(800))
    assert apart is not None
    assert together is not None
    assert as_if_new is not None
    # Hanley and McNeil's (1982) standard error for normal signals, by its closed form.
    area = apart.area
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + 99 * (q1 - area**2) + 99 * (q2 - area**2)) / 100**2
    assert apart.interval.high - apart.interval.low == pytest.approx(
        2 * 1.96 * math.sqrt(variance), rel=0.15
    )
    assert together.interval == apart.interval
    widths = [c.interval.high - c.interval.low for c in (apart, as_if_new)]
    assert widths[1] == pytest.approx(widths[0] / 2, rel=0.15)
