"""Measured records as the findings of the source judge them: by regimes, and pair by pair."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean

from latentcrdt.evals.confluence.record import Record
from latentcrdt.evals.confluence.regimes import Outcome, Thresholds, outcome_of

FEW = 10
"""Pairs below which nothing is said."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Measured records, and the borders between regimes that they are judged by."""

    records: Sequence[Record]
    thresholds: Thresholds

    def outcome(self, record: Record, strategy: str, anchor: str = "a") -> Outcome | None:
        """Return the regime of one merge; None where it was not made."""
        merge = record.merge(strategy, anchor)
        return None if merge is None else outcome_of(merge.metrics, self.thresholds)

    def confluent(self, record: Record, strategy: str) -> float | None:
        """Return 1 where both branches are carried alike, else 0; None where it was not tried."""
        outcome = self.outcome(record, strategy)
        return None if outcome is None else float(outcome is Outcome.CONFLUENCE)


Score = Callable[[Record], float | None]


def by_pair(records: Sequence[Record], *scores: Score) -> list[list[float]]:
    """Return each score's mean for each pair, over the lengths of prefix that have all scores.

    One pair behind two prefixes is not two pairs: what is resampled is the pair.
    """
    found: dict[str, list[list[float]]] = {}
    for record in records:
        values = [value for score in scores if (value := score(record)) is not None]
        if len(values) == len(scores):
            found.setdefault(record.pair_id, []).append(values)
    means = [[mean(column) for column in zip(*rows, strict=True)] for rows in found.values()]
    return [list(column) for column in zip(*means, strict=True)] or [[] for _ in scores]
