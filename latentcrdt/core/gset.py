"""GSet: the grow-only set, a state-based CvRDT and nothing else.

Rule: the only changes are ``insert`` and ``merge``, and ``merge`` is set union; therefore it is
commutative, associative, idempotent, inflationary and total, and replicas that have seen the same
elements, in any order and any number of times, are equal. Remove an element anywhere in this file
and convergence is gone.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class GSet(Generic[T]):
    """A set that only grows. Partially ordered by inclusion; ``merge`` is the least upper bound."""

    __slots__ = ("_elements",)

    def __init__(self, elements: Iterable[T] = ()) -> None:
        self._elements: set[T] = set(elements)

    def insert(self, element: T) -> bool:
        """Add ``element``; return whether the set grew. Cost does not depend on the size."""
        before = len(self._elements)
        self._elements.add(element)
        return len(self._elements) > before

    def merge(self, other: GSet[T]) -> bool:
        """Join ``other`` into this set; return whether it grew."""
        before = len(self._elements)
        self._elements |= other._elements
        return len(self._elements) > before

    def delta(self, other: GSet[T]) -> GSet[T]:
        """Return what this set has and ``other`` lacks: merging it brings ``other`` up to date."""
        return GSet(self._elements - other._elements)

    def contains(self, element: T) -> bool:
        """Return whether ``element`` was ever inserted here or merged in."""
        return element in self._elements

    def __contains__(self, element: object) -> bool:
        return element in self._elements

    def __le__(self, other: GSet[T]) -> bool:
        return self._elements <= other._elements

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GSet) and self._elements == other._elements

    __hash__ = None  # type: ignore[assignment]  # mutable: must not be a dictionary key

    def __len__(self) -> int:
        return len(self._elements)

    def __iter__(self) -> Iterator[T]:
        return iter(self._elements)

    def __repr__(self) -> str:
        return f"GSet({len(self)} elements)"
