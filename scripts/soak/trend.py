"""Trend: whether a quantity grows with the work that is done, and how sure that is.

Three answers, not two: it is flat only if the data exclude that it grows by more than is allowed.
A run that is too short, or too noisy, decides nothing, and so does not pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Judgement: TypeAlias = Literal["flat", "GROWS", "undecided"]

NUM_WINDOWS = 24
"""The least value of each is used: what is under way only ever adds to what is kept."""

Z = 1.96
"""Of the normal distribution: 95 % of it lies between -Z and Z."""


@dataclass(frozen=True, slots=True)
class Trend:
    """How a quantity changes with each unit of work."""

    level: float
    """Median."""
    slope: float
    """A unit of work: the median over all pairs of windows (Theil and Sen)."""
    low: float
    high: float
    """Between these the slope is with 95 % confidence (Sen 1968: no assumption on the noise but
    that windows are alike and independent)."""
    allowed: float
    """The slope up to which it is called flat."""

    @property
    def judgement(self) -> Judgement:
        """What is known."""
        if self.high <= self.allowed:
            return "flat"
        return "GROWS" if self.low > self.allowed else "undecided"


def trend(work: Sequence[float], values: Sequence[float], allowed: float) -> Trend:
    """Fit values against the work done by then, both as they were sampled, in order.

    With fewer samples than windows, or without work between them, nothing is known.
    """
    unknown = Trend(math.nan, math.nan, -math.inf, math.inf, allowed)
    if len(values) < NUM_WINDOWS:
        return unknown
    edges = np.linspace(0, len(values), NUM_WINDOWS + 1).astype(int)
    x = np.array([np.mean(work[a:b]) for a, b in pairwise(edges)])
    y = np.array([np.min(values[a:b]) for a, b in pairwise(edges)])
    slopes = _slopes(x, y)
    if not len(slopes):
        return unknown
    n = len(x)
    # Kendall's: how far from the middle the rank of the true slope may be among all of them.
    reach = Z * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    first = max(0, math.floor((len(slopes) - reach) / 2))
    last = min(len(slopes) - 1, math.ceil((len(slopes) + reach) / 2))
    return Trend(
        level=float(np.median(y)),
        slope=float(np.median(slopes)),
        low=float(slopes[first]),
        high=float(slopes[last]),
        allowed=allowed,
    )


def _slopes(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the slopes of all pairs of points that have work between them, ascending."""
    a, b = np.triu_indices(len(x), 1)
    works = x[b] > x[a]
    a, b = a[works], b[works]
    return np.sort((y[b] - y[a]) / (x[b] - x[a]))
