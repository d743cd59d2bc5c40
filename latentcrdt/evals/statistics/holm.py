"""Holm's correction (1979): p-values of many tests, so that all together err as one would."""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the adjusted p-values, in the order given.

    Rejecting those below a level errs in any of them with at most that probability, however the
    tests depend on each other.
    """
    count = len(p_values)
    adjusted = [0.0] * count
    least = 0.0
    for rank, index in enumerate(sorted(range(count), key=p_values.__getitem__)):
        least = max(least, min(1.0, (count - rank) * p_values[index]))
        adjusted[index] = least
    return adjusted
