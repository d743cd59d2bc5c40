"""A finding of the source, and what a run says of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import mean

from latentcrdt.evals.confluence.record import Record
from latentcrdt.evals.confluence.regimes import Outcome, Thresholds, outcome_of
from latentcrdt.evals.statistics import Interval

FEW = 10
"""Pairs below which nothing is said."""


class Verdict(StrEnum):
    """What a run says of a finding."""

    REPRODUCED = "reproduced"
    REFUTED = "refuted"
    UNDECIDED = "no significant difference"
    UNTESTABLE = "untestable here"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding of FACTS section 6."""

    claim: str
    verdict: Verdict
    evidence: str


def untestable(claim: str, reason: str) -> Finding:
    """Return that a run cannot say."""
    return Finding(claim, Verdict.UNTESTABLE, reason)


def decided(claim: str, interval: Interval, evidence: str, *, than: float = 0.0) -> Finding:
    """Return that a quantity is above what the claim denies, below it, or neither for sure."""
    verdict = Verdict.UNDECIDED
    if interval.low > than:
        verdict = Verdict.REPRODUCED
    elif interval.high < than:
        verdict = Verdict.REFUTED
    return Finding(claim, verdict, evidence)


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
