"""Elements: what one read saw, as ascending runs of integers.

Thousands of reads of thousands of elements each are kept in memory and on disk; runs make a read as
small as it has gaps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from latentcrdt.errors import MalformedError


@dataclass(frozen=True, slots=True)
class Elements:
    """A finite set of integers."""

    runs: tuple[tuple[int, int], ...] = ()
    """First and last of each run, both included; ascending, and never two that touch."""

    def __post_init__(self) -> None:
        """Raise MalformedError unless the runs are the one spelling of their set."""
        for first, last in self.runs:
            if first > last:
                raise MalformedError(f"elements: expected first <= last, got {first}, {last}")
        for (_, last), (first, _) in zip(self.runs, self.runs[1:], strict=False):
            if first <= last + 1:
                raise MalformedError(f"elements: expected a run after {last + 1}, got {first}")

    @classmethod
    def of(cls, elements: Iterable[int]) -> Self:
        """Return the set of these integers."""
        runs: list[tuple[int, int]] = []
        for element in sorted(set(elements)):
            if runs and runs[-1][1] == element - 1:
                runs[-1] = (runs[-1][0], element)
            else:
                runs.append((element, element))
        return cls(tuple(runs))

    def __iter__(self) -> Iterator[int]:
        for first, last in self.runs:
            yield from range(first, last + 1)

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.runs)

    def __str__(self) -> str:
        """Spell as Jepsen does: ``0..17 19``."""
        return " ".join(str(a) if a == b else f"{a}..{b}" for a, b in self.runs)
