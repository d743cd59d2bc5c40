"""Summary: the figures of one run, each with its uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from latentcrdt.evals.statistics import Interval


@dataclass(frozen=True, slots=True)
class MethodSummary:
    """One method on the questions of one cell."""

    method: str
    accuracy: float
    """Of the metric that counts first."""
    interval: Interval
    """Wilson's, at 95 %."""
    scores: Mapping[str, float]
    """Mean of every metric."""
    families: Mapping[str, float]
    """Accuracy by family."""
    context_tokens: float
    """This and the costs below are medians over the questions."""
    prefilled_tokens: float
    bytes_moved: float
    first_token_s: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two methods on the same questions, by the metric that counts first."""

    first: str
    second: str
    difference: float
    """Accuracy of the first minus that of the second."""
    interval: Interval
    """Paired bootstrap, percentiles, 95 %."""
    only_first: int
    only_second: int
    p_value: float
    """McNemar's exact test, two-sided."""
    adjusted_p_value: float
    """Holm's correction over all cells of the run, for these two methods."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What an order of the agents is worth: BagMerge in each that was run."""

    num_orders: int
    best: str
    """The order that was right most often in this cell, known only afterwards."""
    worst: str
    any_right: float
    """Share of the questions that at least one order answers right: the best order of each."""
    all_right: float
    """Share of the questions that every order answers right: the worst order of each."""
    disagree: float
    """Share of the questions on which the texts of two orders differ."""


@dataclass(frozen=True, slots=True)
class CellSummary:
    """One number of agents in one regime."""

    num_agents: int
    regime: str
    num_steps: int
    num_questions: int
    """Questions that all methods of the cell answered; others are left out."""
    methods: tuple[MethodSummary, ...]
    orders: Orders | None
    comparisons: tuple[Comparison, ...]

    def method(self, name: str) -> MethodSummary | None:
        """Return the summary of a method, or None when it was not run."""
        return next((m for m in self.methods if m.method == name), None)

    def comparison(self, first: str, second: str) -> Comparison | None:
        """Return the comparison of two methods, or None when there is none."""
        pairs = (c for c in self.comparisons if (c.first, c.second) == (first, second))
        return next(pairs, None)


@dataclass(frozen=True, slots=True)
class Summary:
    """The figures of one run."""

    settings: Mapping[str, Any]
    sessions: tuple[Mapping[str, Any], ...]
    metric: str
    cells: tuple[CellSummary, ...]
