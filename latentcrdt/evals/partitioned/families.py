"""The five families by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

from latentcrdt.evals.partitioned.comparison import comparison
from latentcrdt.evals.partitioned.constraint import constraint
from latentcrdt.evals.partitioned.counting import counting
from latentcrdt.evals.partitioned.draws import Draws
from latentcrdt.evals.partitioned.lookup import lookup
from latentcrdt.evals.partitioned.question import Context
from latentcrdt.evals.partitioned.two_hop import two_hop


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of question."""

    make: Callable[[Draws, int], Context]
    """Makes a context of so many shards; all that it draws comes from the given stream."""
    chance: Fraction
    """How often the best reader who lacks one of the needed shards is right."""


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "lookup": Family(lookup, Fraction(1, 3)),
        "two-hop": Family(two_hop, Fraction(1, 3)),
        "comparison": Family(comparison, Fraction(1, 2)),
        "counting": Family(counting, Fraction(1, 3)),
        "constraint": Family(constraint, Fraction(1, 2)),
    }
)

NUM_SHARDS = range(2, 6)
"""How many shards a context may have; there are words and numbers enough for these."""
