"""All merges of one fork: every strategy, and every search for weights, as figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from transformers import PreTrainedModel

from latentcrdt.evals.confluence.fork import Fork, Rows
from latentcrdt.evals.confluence.probes import candidate_distributions
from latentcrdt.merging.gate.metrics import Distributions, Metrics, Tokens, metrics_of
from latentcrdt.merging.search import SEARCHES, search
from latentcrdt.merging.strategies import STRATEGIES, strategy_named

ENOUGH_MASS = 0.5
"""Share of the branches' own mass that a search wants to keep."""

LACK_COSTS = 10.0
"""What each unit of lacking mass adds to a search's objective, beside |balance|."""


@dataclass(frozen=True, slots=True)
class Merge:
    """One strategy's result."""

    strategy: str
    anchor: str
    """``a`` or ``b``: whose rows stay where a strategy does not blend."""
    parameters: dict[str, float]
    metrics: Metrics


class Merges:
    """The merges of one fork with one model."""

    def __init__(self, model: PreTrainedModel, forked: Fork, probes: list[int]) -> None:
        self._model, self._fork, self._probes = model, forked, probes
        alone_a, alone_b = candidate_distributions(model, forked, [forked.a, forked.b], probes)
        self._alone: tuple[Distributions, Distributions] = alone_a, alone_b
        self.tokens = Tokens.of(forked.a_ids, forked.b_ids, alone_a, alone_b)

    def alone(self) -> tuple[Metrics, Metrics]:
        """Return the figures of either branch unmerged."""
        a, b = (metrics_of(own, *self._alone, self.tokens) for own in self._alone)
        return a, b

    def all(self, *, searches: Sequence[str]) -> list[Merge]:
        """Return every strategy with its defaults, under both anchors, and the searches under a."""
        wanted = [
            (name, anchor, dict(strategy.defaults))
            for name, strategy in STRATEGIES.items()
            if not strategy.layer_weights  # with one weight for all it is the average
            for anchor in ("a", "b")
        ]
        found = [search(SEARCHES[name], len(self._fork.a), self._objective) for name in searches]
        chosen = [("a", one.strategy, one.parameters) for one in found]
        rows = [self._rows(name, given, anchor) for name, anchor, given in wanted]
        rows += [self._rows(name, given, anchor) for anchor, name, given in chosen]
        figures = self._metrics(rows)
        merges = [Merge(*entry, metrics=m) for entry, m in zip(wanted, figures, strict=False)]
        return merges + [
            Merge(name, "a", one.parameters, m)
            for name, one, m in zip(searches, found, figures[len(wanted) :], strict=True)
        ]

    def _objective(self, name: str, trials: Sequence[Mapping[str, float]]) -> list[float]:
        """Return |balance| of each trial, dearer where it lacks branch mass."""
        figures = self._metrics([self._rows(name, given, "a") for given in trials])
        return [abs(m.balance) + LACK_COSTS * max(0.0, ENOUGH_MASS - m.mass_share) for m in figures]

    def _metrics(self, rows: list[Rows]) -> list[Metrics]:
        merged = candidate_distributions(self._model, self._fork, rows, self._probes)
        return [metrics_of(one, *self._alone, self.tokens) for one in merged]

    def _rows(self, name: str, given: Mapping[str, float], anchor: str) -> Rows:
        first, second = (self._fork.a, self._fork.b)[:: 1 if anchor == "a" else -1]
        strategy = strategy_named(name)
        parameters = strategy.parameters(given, 2)
        rows: Rows = []
        for layer, branches in enumerate(zip(first, second, strict=True)):
            heads = zip(*(zip(*branch, strict=True) for branch in branches), strict=True)
            merged = list(strategy.merged_heads(layer, len(first), enumerate(heads), parameters))
            rows.append((np.stack([k for k, _ in merged]), np.stack([v for _, v in merged])))
        return rows
