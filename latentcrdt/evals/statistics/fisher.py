"""Fisher's exact test: do two groups of different cases differ in their rate?

Given how many succeeded in all, every way to spread them over the groups is equally likely if the
rates are equal; p adds up the ways that are no likelier than the one seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import comb


def fisher(first: Sequence[bool], second: Sequence[bool]) -> float:
    """Return the two-sided p-value of two groups of outcomes; 1 where a group is empty."""
    size, other, successes = len(first), len(second), sum(first) + sum(second)
    low, high = max(0, successes - other), min(size, successes)
    ways = [comb(size, i) * comb(other, successes - i) for i in range(low, high + 1)]
    seen = ways[sum(first) - low]
    return float(Fraction(sum(way for way in ways if way <= seen), sum(ways)))
