"""McNemar's exact test: do two methods that answered the same questions differ in accuracy?

Only the questions that one method got right and the other wrong say anything. If the methods are
equally good, each of these is a fair coin: p is the two-sided binomial probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import comb
from typing import NamedTuple


class Discordance(NamedTuple):
    """How two methods disagree, and how likely at least this much is by chance."""

    only_first: int
    """Questions that the first method alone got right."""
    only_second: int
    p_value: float
    """Two-sided and exact: no approximation, whatever the counts."""


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> Discordance:
    """Return the test of two methods' answers, right or wrong, question by question."""
    pairs = list(zip(first, second, strict=True))
    only_first = sum(a and not b for a, b in pairs)
    only_second = sum(b and not a for a, b in pairs)
    flips = only_first + only_second
    tail = sum(comb(flips, i) for i in range(min(only_first, only_second) + 1))
    return Discordance(
        only_first, only_second, float(min(Fraction(1), Fraction(2 * tail, 2**flips)))
    )
