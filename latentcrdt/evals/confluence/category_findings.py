"""Do pairs of a category come out as the source says of it?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import mean

from latentcrdt.evals.confluence.battery import battery
from latentcrdt.evals.confluence.judged import FEW, Judged, by_pair
from latentcrdt.evals.confluence.record import Record
from latentcrdt.evals.confluence.regimes import Outcome
from latentcrdt.evals.confluence.signals import SHOWN
from latentcrdt.evals.report.finding import Finding, decided, untestable
from latentcrdt.evals.report.table import percent, points
from latentcrdt.evals.statistics import Difference, group_difference

SAID = {
    "merge": Outcome.CONFLUENCE,
    "collapse": Outcome.COLLAPSE,
    "washout": Outcome.WASHOUT,
}
"""What a word of the battery means; ``variable`` categories are said to come out either way."""

QUANTIFIERS, QUANTIFIERS_BALANCE = "quantifiers", 0.259
"""The one category of which the source gives a figure: |balance|."""


def category_findings(judged: Judged) -> Iterator[Finding]:
    """Yield whether each kind of category comes out as said more often than the others do."""
    for said, outcome in SAID.items():
        names = {category.name for category in battery() if category.expected == said}
        yield of_categories(
            judged,
            names,
            outcome,
            f"Categories said to {said.replace('washout', 'wash out')} do so more often",
        )
    yield _quantifiers(judged)


def of_categories(judged: Judged, names: set[str], outcome: Outcome, claim: str) -> Finding:
    """Return whether pairs of some categories have an outcome more often than all others."""

    def has(record: Record) -> float | None:
        found = judged.outcome(record, SHOWN)
        return None if found is None else float(found is outcome)

    def evidence(own: list[float], others: list[float], difference: Difference) -> str:
        return (
            f"{outcome} {percent(mean(own))} % of {len(own)} pairs, {percent(mean(others))} % of "
            f"{len(others)} others: {points(difference)} points"
        )

    return _compared(judged, names, has, claim, evidence)


def _quantifiers(judged: Judged) -> Finding:
    claim = f"Quantifiers merge better than others (|balance| {QUANTIFIERS_BALANCE}, says it)"

    def closeness(record: Record) -> float | None:
        merge = record.merge(SHOWN)
        return None if merge is None else -abs(merge.metrics.balance)

    def evidence(own: list[float], others: list[float], difference: Difference) -> str:
        return (
            f"mean |balance| {-mean(own):.3f} of {len(own)} pairs, {-mean(others):.3f} of "
            f"{len(others)} others: {-difference.mean:+.2f} "
            f"[{-difference.interval.high:+.2f}, {-difference.interval.low:+.2f}]"
        )

    return _compared(judged, {QUANTIFIERS}, closeness, claim, evidence)


def _compared(
    judged: Judged,
    names: set[str],
    score: Callable[[Record], float | None],
    claim: str,
    evidence: Callable[[list[float], list[float], Difference], str],
) -> Finding:
    """Return whether pairs of some categories score higher than all others."""
    own, others = (
        by_pair([r for r in judged.records if (r.category in names) is inside], score)[0]
        for inside in (True, False)
    )
    if min(len(own), len(others)) < FEW:
        return untestable(claim, f"{len(own)} and {len(others)} pairs")
    difference = group_difference(own, others)
    return decided(claim, difference.interval, evidence(own, others, difference))
