"""The source's findings, each held against a run: reproduced, refuted or not to be told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from latentcrdt.evals.confluence.battery import battery
from latentcrdt.evals.confluence.record import Record
from latentcrdt.evals.confluence.regimes import Outcome, Thresholds, outcome_of
from latentcrdt.evals.statistics import mcnemar
from latentcrdt.evals.statistics.fisher import fisher

SIGNIFICANT = 0.05
"""Two-sided probability below which a difference is not put down to chance."""

FIXED_WEIGHT_LAYERS = 12
"""The source's model with this many layers showed no confluence under a fixed weight."""

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


def findings(records: Sequence[Record], *, num_layers: int) -> list[Finding]:
    """Return every finding with its verdict on these records."""
    return [
        _values_only(records),
        _anchor(records),
        _prefix(records),
        _fixed_weight(records, num_layers),
        *_searches(records),
        _categories(records),
    ]


def confluent(record: Record, strategy: str, anchor: str = "a") -> bool | None:
    """Return whether both branches are carried alike; None where the merge was not made."""
    merge = record.merge(strategy, anchor)
    if merge is None:
        return None
    return outcome_of(merge.metrics, Thresholds()) is Outcome.CONFLUENCE


def _paired(
    claim: str,
    records: Sequence[Record],
    first: Callable[[Record], bool | None],
    second: Callable[[Record], bool | None],
    names: tuple[str, str],
) -> Finding:
    """Return whether the first is confluent more often than the second on the same pairs."""
    known = [
        (a, b) for r in records if (a := first(r)) is not None and (b := second(r)) is not None
    ]
    if len(known) < FEW:
        return Finding(claim, Verdict.UNTESTABLE, f"{len(known)} pairs")
    firsts, seconds = [a for a, _ in known], [b for _, b in known]
    test = mcnemar(firsts, seconds)
    evidence = (
        f"{names[0]} {sum(firsts) / len(known):.1%}, {names[1]} {sum(seconds) / len(known):.1%} "
        f"of {len(known)} confluent; p = {test.p_value:.2g} (McNemar)"
    )
    if test.p_value >= SIGNIFICANT:
        return Finding(claim, Verdict.UNDECIDED, evidence)
    more = test.only_first > test.only_second
    return Finding(claim, Verdict.REPRODUCED if more else Verdict.REFUTED, evidence)


def _values_only(records: Sequence[Record]) -> Finding:
    return _paired(
        "V-only beats K+V",
        records,
        lambda r: confluent(r, "v-only"),
        lambda r: confluent(r, "uniform-average"),
        ("v-only", "uniform-average"),
    )


def _anchor(records: Sequence[Record]) -> Finding:
    claim = "A-anchored differs from B-anchored"
    pairs = [
        (a.metrics, b.metrics)
        for r in records
        if (a := r.merge("v-only", "a")) is not None and (b := r.merge("v-only", "b")) is not None
    ]
    if len(pairs) < FEW:
        return Finding(claim, Verdict.UNTESTABLE, f"{len(pairs)} pairs")
    apart = [abs(a.balance - b.balance) for a, b in pairs]
    flipped = sum(outcome_of(a, Thresholds()) is not outcome_of(b, Thresholds()) for a, b in pairs)
    evidence = (
        f"v-only: balances differ by {median(apart):.2f} (median); "
        f"{flipped / len(pairs):.1%} of {len(pairs)} pairs change their regime with the anchor"
    )
    differs = median(apart) > Thresholds().balance / 2 or flipped > len(pairs) / 10
    return Finding(claim, Verdict.REPRODUCED if differs else Verdict.REFUTED, evidence)


def _prefix(records: Sequence[Record]) -> Finding:
    claim = "The longer the shared prefix, the more confluence"
    paddings = sorted({record.padding_tokens for record in records})
    if len(paddings) < 2:
        return Finding(claim, Verdict.UNTESTABLE, "one length of prefix was run")
    short = {r.pair_id: r for r in records if r.padding_tokens == paddings[0]}
    long = {r.pair_id: r for r in records if r.padding_tokens == paddings[-1]}
    both = [short[i] for i in short if i in long]
    return _paired(
        claim,
        both,
        lambda r: confluent(long[r.pair_id], "v-only"),
        lambda r: confluent(r, "v-only"),
        (f"{paddings[-1]} more tokens", f"{paddings[0]}"),
    )


def _fixed_weight(records: Sequence[Record], num_layers: int) -> Finding:
    claim = "A fixed weight on 12 layers gives no confluence"
    if num_layers != FIXED_WEIGHT_LAYERS:
        return Finding(claim, Verdict.UNTESTABLE, f"this model has {num_layers} layers")
    known = [found for r in records if (found := confluent(r, "uniform-average")) is not None]
    if len(known) < FEW:
        return Finding(claim, Verdict.UNTESTABLE, f"{len(known)} pairs")
    evidence = f"uniform-average: {sum(known)} of {len(known)} confluent"
    return Finding(claim, Verdict.REFUTED if any(known) else Verdict.REPRODUCED, evidence)


def _searches(records: Sequence[Record]) -> list[Finding]:
    return [
        _paired(
            f"Search recovers confluence ({search}; the source says 15 to 20 points)",
            records,
            lambda r, search=search: confluent(r, search),  # type: ignore[misc]
            lambda r, fixed=fixed: confluent(r, fixed),  # type: ignore[misc]
            (search, fixed),
        )
        for search, fixed in (
            ("weight-search", "uniform-average"),
            ("layer-weight-search", "uniform-average"),
            ("late-v-slerp-search", "late-v-slerp"),
            ("head-gated-v-search", "head-gated-v"),
        )
    ]


def _categories(records: Sequence[Record]) -> Finding:
    claim = "Categories named as merging are confluent more often than those named as collapsing"
    said = {category.name: category.expected for category in battery()}
    known = {
        expected: [
            found
            for r in records
            if said[r.category] == expected and (found := confluent(r, "v-only")) is not None
        ]
        for expected in ("merge", "collapse")
    }
    merging, collapsing = known["merge"], known["collapse"]
    if min(len(merging), len(collapsing)) < FEW:
        return Finding(claim, Verdict.UNTESTABLE, "too few pairs")
    rates = [sum(found) / len(found) for found in (merging, collapsing)]
    p_value = fisher(merging, collapsing)
    evidence = (
        f"v-only: {rates[0]:.1%} of {len(merging)} and {rates[1]:.1%} of {len(collapsing)} "
        f"confluent; p = {p_value:.2g} (Fisher)"
    )
    if p_value >= SIGNIFICANT:
        return Finding(claim, Verdict.UNDECIDED, evidence)
    return Finding(claim, Verdict.REPRODUCED if rates[0] > rates[1] else Verdict.REFUTED, evidence)
