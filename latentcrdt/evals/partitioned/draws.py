"""Draws from a seed by integer arithmetic: the same on every machine, with every release.

The outputs are those of splitmix64 (Steele, Lea, Flood, OOPSLA 2014), as in `render.splitmix`, one
at a time and without numpy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

MASK = 2**64 - 1
GOLDEN_GAMMA = 0x9E3779B97F4A7C15


class Draws:
    """A stream of draws. Equal seeds give equal streams."""

    def __init__(self, seed: int) -> None:
        self._state = seed & MASK

    @classmethod
    def named(cls, *parts: str | int) -> Draws:
        """Return the stream of a name, such as a family, a number of shards and a seed."""
        digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
        return cls(int.from_bytes(digest[:8], "little"))

    def bits(self) -> int:
        """Return the next 64 bits."""
        self._state = (self._state + GOLDEN_GAMMA) & MASK
        z = self._state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        return z ^ (z >> 31)

    def below(self, bound: int) -> int:
        """Return an integer of ``range(bound)``; the bias, bound / 2^64, is beyond notice."""
        return self.bits() * bound >> 64

    def one_of(self, items: Sequence[T]) -> T:
        """Return one of the items."""
        return items[self.below(len(items))]

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        """Return ``count`` different items in a drawn order."""
        pool = list(items)
        for i in range(count):
            j = i + self.below(len(pool) - i)
            pool[i], pool[j] = pool[j], pool[i]
        return pool[:count]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """Return all the items in a drawn order."""
        return self.sample(items, len(items))
