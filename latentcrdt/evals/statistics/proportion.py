"""Wilson's score interval of a proportion (Wilson 1927): sound at 0, at 1, and for small n."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist

from latentcrdt.errors import InvalidRequestError
from latentcrdt.evals.statistics.interval import LEVEL, Interval


def wilson(successes: int, trials: int) -> Interval:
    """Return the interval of the proportions that ``successes`` of ``trials`` do not reject.

    Those p with |successes/trials - p| <= z * sqrt(p (1 - p) / trials); z is the normal quantile.
    Raises InvalidRequestError for no trials, or more successes than trials.
    """
    if not 0 <= successes <= trials or trials == 0:
        raise InvalidRequestError(
            f"proportion: expected 0 to n successes of n > 0, got {successes} of {trials}"
        )
    z = NormalDist().inv_cdf((1 + LEVEL) / 2)
    rate = successes / trials
    centre = (rate + z * z / (2 * trials)) / (1 + z * z / trials)
    spread = sqrt(rate * (1 - rate) / trials + (z / (2 * trials)) ** 2)
    reach = z * spread / (1 + z * z / trials)
    # The ends are exact where the formula would only come within a rounding of them.
    low = 0.0 if successes == 0 else centre - reach
    high = 1.0 if successes == trials else centre + reach
    return Interval(low, high)
