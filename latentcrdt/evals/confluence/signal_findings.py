"""What the signals of a gate and the entropy tell of a merge, held against the source."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mean

from latentcrdt.evals.confluence.judged import FEW, Judged, by_pair
from latentcrdt.evals.confluence.record import Record
from latentcrdt.evals.confluence.regimes import Outcome
from latentcrdt.evals.confluence.signals import SHOWN, SIGNALS, Signal, examples_of
from latentcrdt.evals.report.finding import Finding, decided, untestable
from latentcrdt.evals.statistics import paired_difference

ENTROPY = (
    ("Washout raises the entropy", Outcome.WASHOUT, 1),
    ("Collapse lowers the entropy", Outcome.COLLAPSE, -1),
)
"""Claims, of which regime they are, and the sign of its entropy change."""


def signal_findings(judged: Judged) -> Iterator[Finding]:
    """Yield whether each signal tells its regime, and whether entropies change as they should."""
    for signal in SIGNALS:
        if signal.claim is not None:
            yield _told(judged, signal, signal.claim)
    for claim, outcome, sign in ENTROPY:
        yield _entropy(judged, claim, outcome, sign)


def _told(judged: Judged, signal: Signal, claim: str) -> Finding:
    curve = signal.curve(examples_of(judged))
    if curve is None or min(curve.num_cases, curve.num_others) < FEW:
        few = 0 if curve is None else min(curve.num_cases, curve.num_others)
        return untestable(claim, f"{few} merges of one kind, under {SHOWN}")
    evidence = (
        f"under {SHOWN}: area under the curve {curve.area:.2f} "
        f"[{curve.interval.low:.2f}, {curve.interval.high:.2f}], {curve.num_cases} cases, "
        f"{curve.num_others} others"
    )
    return decided(claim, curve.interval, evidence, than=0.5)


def _entropy(judged: Judged, claim: str, outcome: Outcome, sign: int) -> Finding:
    def change(record: Record) -> float | None:
        merge = record.merge(SHOWN)
        if merge is None or judged.outcome(record, SHOWN) is not outcome:
            return None
        return sign * merge.metrics.entropy_change

    (changes,) = by_pair(judged.records, change)
    if len(changes) < FEW:
        return untestable(claim, f"{len(changes)} pairs")
    found = paired_difference(changes, [0.0] * len(changes))
    low, high = sorted(sign * end for end in found.interval)
    evidence = (
        f"{SHOWN}: {sign * mean(changes):+.2f} [{low:+.2f}, {high:+.2f}] nats, {len(changes)} pairs"
    )
    return decided(claim, found.interval, evidence)
