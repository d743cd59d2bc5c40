"""Bootstrap (Efron 1979): the difference of two methods, over the same questions or others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from latentcrdt.errors import InvalidRequestError
from latentcrdt.evals.statistics.interval import LEVEL, Interval

RESAMPLES = 10_000
"""Resamples: the ends of an interval then vary by less than a tenth of its width between seeds."""

SEED = 20260701
"""Of the resampling: a report is the same each time that it is made."""


class Difference(NamedTuple):
    """Mean of the first scores minus that of the second."""

    mean: float
    interval: Interval
    """Percentile interval of the mean under resampling of the questions."""


def paired_difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Return the difference in mean score of two methods, question by question.

    Raises InvalidRequestError for no questions, or not the same number of both.
    """
    if not first or len(first) != len(second):
        raise InvalidRequestError(
            f"paired difference: expected scores of the same questions, at least one, "
            f"got {len(first)} and {len(second)}"
        )
    differences = np.subtract(first, second, dtype=np.float64)
    means = _resampled_means(differences, np.random.default_rng(SEED))
    return Difference(float(differences.mean()), _interval(means))


def group_difference(first: Sequence[float], second: Sequence[float]) -> Difference:
    """Return the difference in mean score of two groups of different questions, each resampled.

    Raises InvalidRequestError for an empty group.
    """
    if not first or not second:
        raise InvalidRequestError(
            f"group difference: expected two groups, got {len(first)} and {len(second)} scores"
        )
    rng = np.random.default_rng(SEED)
    one, other = (np.array(scores, dtype=np.float64) for scores in (first, second))
    means = _resampled_means(one, rng) - _resampled_means(other, rng)
    return Difference(float(one.mean() - other.mean()), _interval(means))


def _resampled_means(scores: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the mean ``[RESAMPLES]`` of as many scores, drawn with replacement.

    Drawing n of n scores is drawing how often each value comes: the same distribution, with memory
    for the few values that right and wrong can differ by.
    """
    values, counts = np.unique(scores, return_counts=True)
    n = len(scores)
    means: NDArray[np.float64] = rng.multinomial(n, counts / n, size=RESAMPLES) @ values / n
    return means


def _interval(means: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))
