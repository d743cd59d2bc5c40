"""Paired bootstrap (Efron 1979): the difference of two methods over the same questions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from latentcrdt.errors import InvalidRequestError
from latentcrdt.evals.statistics.interval import LEVEL, Interval

RESAMPLES = 10_000
"""Resamples: the ends of an interval then vary by less than a tenth of its width between seeds."""

SEED = 20260701
"""Of the resampling: a report is the same each time that it is made."""


class Difference(NamedTuple):
    """Mean of the first method's scores minus that of the second's."""

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
    # Drawing n of n questions is drawing how often each value comes: the same distribution, with
    # memory for the few values that right and wrong can differ by.
    values, counts = np.unique(differences, return_counts=True)
    n = len(differences)
    draws = np.random.default_rng(SEED).multinomial(n, counts / n, size=RESAMPLES)
    means = draws @ values / n  # [RESAMPLES]
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Difference(float(differences.mean()), Interval(float(low), float(high)))
