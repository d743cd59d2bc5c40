"""The source's findings about strategies, each held against a run (FACTS section 6)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from statistics import mean

from latentcrdt.evals.confluence.category_findings import category_findings
from latentcrdt.evals.confluence.judged import FEW, Judged, by_pair
from latentcrdt.evals.confluence.record import Record
from latentcrdt.evals.confluence.regimes import Outcome, Thresholds, outcome_of
from latentcrdt.evals.confluence.signal_findings import signal_findings
from latentcrdt.evals.report.finding import Finding, Verdict, decided, untestable
from latentcrdt.evals.report.table import percent, points
from latentcrdt.evals.statistics import paired_difference

FIXED_WEIGHT_LAYERS = 12
"""The source's model with this many layers showed no confluence under a fixed weight."""

HARDLY_ANY = 0.05
"""Share of pairs up to which an anchor that changes their regime counts as none."""

RECOVERED = (0.15, 0.20)
"""What a search is said to win, as a share of the pairs."""

SEARCHED = (
    ("weight-search", "uniform-average"),
    ("layer-weight-search", "uniform-average"),
    ("late-v-slerp-search", "late-v-slerp"),
    ("head-gated-v-search", "head-gated-v"),
)
"""Each search, and the fixed strategy that it starts from."""


def findings(
    records: Sequence[Record], *, num_layers: int, thresholds: Thresholds
) -> list[Finding]:
    """Return every finding with its verdict on measured records, judged by these borders."""
    judged = Judged(records, thresholds)
    return [
        _compared(judged, "V-only beats K+V", "v-only", "uniform-average"),
        _anchor(judged),
        _prefix(judged),
        _fixed_weight(judged, num_layers),
        *(_search(judged, search, fixed) for search, fixed in SEARCHED),
        *(_control(judged, strategy) for strategy in ("uniform-average", "v-only")),
        *signal_findings(judged),
        *category_findings(judged),
    ]


def _compared(judged: Judged, claim: str, first: str, second: str) -> Finding:
    """Return whether a strategy is confluent more often than another on the same pairs."""
    scores = (partial(judged.confluent, strategy=name) for name in (first, second))
    return _paired(claim, *by_pair(judged.records, *scores), names=(first, second))


def _paired(
    claim: str, first: list[float], second: list[float], *, names: tuple[str, str]
) -> Finding:
    if len(first) < FEW:
        return untestable(claim, f"{len(first)} pairs")
    difference = paired_difference(first, second)
    evidence = (
        f"{names[0]} {percent(mean(first))} %, {names[1]} {percent(mean(second))} % confluent: "
        f"{points(difference)} points, {len(first)} pairs"
    )
    return decided(claim, difference.interval, evidence)


def _search(judged: Judged, search: str, fixed: str) -> Finding:
    low, high = RECOVERED
    claim = f"{search} recovers confluence ({low:.0%} to {high:.0%} of pairs, says the source)"
    return _compared(judged, claim, search, fixed)


def _control(judged: Judged, strategy: str) -> Finding:
    """Return whether a merge is confluent more often than what is no merge at all."""

    def alone(record: Record) -> float | None:
        if not record.alone:
            return None
        return float(outcome_of(record.alone[0], judged.thresholds) is Outcome.CONFLUENCE)

    scores = by_pair(judged.records, partial(judged.confluent, strategy=strategy), alone)
    claim = f"Control, ours: {strategy} is confluent more often than branch A alone"
    return _paired(claim, *scores, names=(strategy, "branch A alone"))


def _anchor(judged: Judged) -> Finding:
    claim = "A-anchored differs from B-anchored"

    def changes(record: Record) -> float | None:
        a, b = (judged.outcome(record, "v-only", anchor) for anchor in ("a", "b"))
        return None if a is None or b is None else float(a is not b)

    (changed,) = by_pair(judged.records, changes)
    if len(changed) < FEW:
        return untestable(claim, f"{len(changed)} pairs")
    share = paired_difference(changed, [0.0] * len(changed))
    evidence = (
        f"v-only: {points(share)} % of merges change their regime with the anchor, "
        f"{len(changed)} pairs; up to {HARDLY_ANY:.0%} would count as none"
    )
    return decided(claim, share.interval, evidence, than=HARDLY_ANY)


def _prefix(judged: Judged) -> Finding:
    claim = "The longer the shared prefix, the more confluence"
    lengths = sorted({record.padding_tokens for record in judged.records})
    if len(lengths) < 2:
        return untestable(claim, "one length of prefix was run")
    known = [
        {
            r.pair_id: found
            for r in judged.records
            if r.padding_tokens == length and (found := judged.confluent(r, "v-only")) is not None
        }
        for length in (lengths[-1], lengths[0])
    ]
    both = [pair for pair in known[0] if pair in known[1]]
    names = (f"v-only behind {lengths[-1]} more tokens", f"behind {lengths[0]}")
    return _paired(claim, *([side[pair] for pair in both] for side in known), names=names)


def _fixed_weight(judged: Judged, num_layers: int) -> Finding:
    claim = f"A fixed weight on {FIXED_WEIGHT_LAYERS} layers gives no confluence"
    known = [
        found
        for record in judged.records
        if (found := judged.confluent(record, "uniform-average")) is not None
    ]
    if len(known) < FEW:
        return untestable(claim, f"{len(known)} merges")
    evidence = f"uniform-average: {sum(known):.0f} of {len(known)} merges confluent"
    if num_layers != FIXED_WEIGHT_LAYERS:
        return untestable(claim, f"this model has {num_layers} layers; {evidence}")
    return Finding(claim, Verdict.REFUTED if any(known) else Verdict.REPRODUCED, evidence)
