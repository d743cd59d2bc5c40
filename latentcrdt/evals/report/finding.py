"""A finding of a source, and what a run says of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from latentcrdt.evals.statistics import Interval


class Verdict(StrEnum):
    """What a run says of a finding."""

    REPRODUCED = "reproduced"
    REFUTED = "refuted"
    UNDECIDED = "no significant difference"
    UNTESTABLE = "untestable here"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding, and its verdict."""

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
