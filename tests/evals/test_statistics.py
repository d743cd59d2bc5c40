"""Statistics against brute force and against their definitions."""

from __future__ import annotations

from collections import Counter
from itertools import product
from math import isclose, sqrt

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from latentcrdt.errors import InvalidRequestError
from latentcrdt.evals.statistics import group_difference, mcnemar, paired_difference, wilson
from latentcrdt.evals.statistics.holm import holm

Z = 1.959963984540054  # scipy.stats.norm.ppf(0.975)

answers = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
@example((0, 1))
@example((1, 1))
def test_the_ends_of_wilsons_interval_solve_its_equation(case):
    successes, n = case
    rate = successes / n
    low, high = wilson(successes, n)
    assert 0 <= low <= rate <= high <= 1
    for p in (low, high):
        assert isclose(abs(rate - p), Z * sqrt(p * (1 - p) / n), abs_tol=1e-9)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    # scipy 1.17.1: scipy.stats.binomtest(successes, n).proportion_ci(method="wilson")
    [
        (8, 10, 0.4901624715366418, 0.9433178485456248),
        (0, 20, 0.0, 0.16112515805281935),
        (50, 100, 0.4038315303659956, 0.5961684696340044),
        (97, 100, 0.9154806357094724, 0.9897454759759611),
    ],
)
def test_wilsons_interval_is_that_of_scipy(successes, n, low, high):
    assert wilson(successes, n) == pytest.approx((low, high), abs=1e-12)


@pytest.mark.parametrize(
    ("only_first", "only_second", "p_value"),
    # scipy 1.17.1: scipy.stats.binomtest(min(...), only_first + only_second, 0.5).pvalue
    [(1, 9, 0.021484375), (5, 5, 1.0), (12, 30, 0.007915897334896727), (0, 3, 0.25)],
)
def test_mcnemar_is_that_of_scipy(only_first, only_second, p_value):
    first = [True] * only_first + [False] * only_second + [True, False]
    second = [False] * only_first + [True] * only_second + [True, False]
    assert mcnemar(first, second) == (only_first, only_second, pytest.approx(p_value, abs=1e-15))


@pytest.mark.parametrize("case", [(0, 0), (3, 2), (-1, 2)])
def test_a_proportion_of_nothing_is_refused(case):
    with pytest.raises(InvalidRequestError):
        wilson(*case)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=14))
def test_mcnemar_is_the_share_of_coin_tosses_at_least_as_uneven(pairs):
    first, second = zip(*pairs, strict=True)
    found = mcnemar(first, second)
    flips = [a for a, b in pairs if a != b]
    assert (found.only_first, found.only_second) == (sum(flips), len(flips) - sum(flips))
    uneven = abs(found.only_first - found.only_second)
    tosses = list(product((1, -1), repeat=len(flips)))
    assert found.p_value == pytest.approx(sum(abs(sum(t)) >= uneven for t in tosses) / len(tosses))


@given(answers)
def test_mcnemar_does_not_mind_which_method_comes_first(pairs):
    first, second = zip(*pairs, strict=True)
    assert mcnemar(first, second).p_value == mcnemar(second, first).p_value


def test_mcnemar_needs_answers_to_the_same_questions():
    with pytest.raises(ValueError, match="longer"):
        mcnemar([True], [True, False])


@pytest.mark.parametrize(
    ("first", "second"), [([1, 0, 1, 1, 0], [0, 0, 1, 0, 1]), ([0.5, 1.0, 0.25, 0], [0, 1, 1, 0])]
)
def test_the_paired_bootstrap_is_the_distribution_over_all_resamples(first, second):
    n = len(first)
    differences = np.subtract(first, second)
    means = Counter(
        round(float(differences[list(c)].mean()), 9) for c in product(range(n), repeat=n)
    )
    found = paired_difference(first, second)
    assert found.mean == pytest.approx(differences.mean())
    below, inside, above = (
        sum(count for mean, count in means.items() if test(mean)) / n**n
        for test in (
            lambda m: m < found.interval.low - 1e-9,
            lambda m: found.interval.low - 1e-9 <= m <= found.interval.high + 1e-9,
            lambda m: m > found.interval.high + 1e-9,
        )
    )
    # The ends are quantiles: no more than 2.5 % lies beyond either, up to the noise of resampling.
    assert below < 0.03
    assert above < 0.03
    assert inside > 0.94
    # And they are as near as they can be: without the outermost values it would not hold.
    for end in found.interval:
        assert min(abs(end - mean) for mean in means) < 1e-9


@given(answers)
def test_the_difference_turns_with_the_methods(pairs):
    first, second = zip(*pairs, strict=True)
    there, back = paired_difference(first, second), paired_difference(second, first)
    assert there.mean == -back.mean
    assert there.interval.low <= there.mean <= there.interval.high


def test_equal_answers_have_no_difference():
    assert paired_difference([1, 0, 1], [1, 0, 1]) == (0, (0, 0))


@pytest.mark.parametrize(("first", "second"), [([], []), ([1.0], [1.0, 0.0]), ([1, 0], [1])])
def test_a_difference_over_nothing_or_over_other_questions_is_refused(first, second):
    with pytest.raises(InvalidRequestError, match="same questions"):
        paired_difference(first, second)


def test_groups_are_resampled_each_on_its_own():
    """Against the normal interval of the difference of two proportions, which large groups have."""
    first, second = [1.0] * 300 + [0.0] * 200, [1.0] * 100 + [0.0] * 300
    found = group_difference(first, second)
    assert found.mean == pytest.approx(0.6 - 0.25)
    reach = 1.96 * sqrt(0.6 * 0.4 / 500 + 0.25 * 0.75 / 400)
    assert found.interval.low == pytest.approx(found.mean - reach, abs=0.005)
    assert found.interval.high == pytest.approx(found.mean + reach, abs=0.005)
    back = group_difference(second, first)
    assert back.mean == -found.mean


@pytest.mark.parametrize(("first", "second"), [([], [1.0]), ([1.0], [])])
def test_a_difference_from_an_empty_group_is_refused(first, second):
    with pytest.raises(InvalidRequestError, match="two groups"):
        group_difference(first, second)


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_rejects_what_stepping_down_rejects(p_values):
    adjusted = holm(p_values)
    for level in (0.01, 0.05, 0.5):
        rejected = set()
        order = sorted(range(len(p_values)), key=p_values.__getitem__)
        for rank, index in enumerate(order):
            if p_values[index] * (len(p_values) - rank) > level:
                break
            rejected.add(index)
        assert {i for i, p in enumerate(adjusted) if p <= level} == rejected
    assert all(a >= p for a, p in zip(adjusted, p_values, strict=True))
