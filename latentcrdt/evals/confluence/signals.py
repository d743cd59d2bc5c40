"""What a gate looks at, on the records of a battery: signals, and what each should tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from latentcrdt.evals.confluence.judged import Judged
from latentcrdt.evals.confluence.record import Record
from latentcrdt.evals.confluence.regimes import Outcome
from latentcrdt.evals.confluence.roc import ROC, roc
from latentcrdt.merging.gate.trial import STRATEGY, Trial

SHOWN = "v-only"
"""The strategy whose merges are gated: that of the map and of the category table, too."""


@dataclass(frozen=True, slots=True)
class Example:
    """A trial by a plain average, and what became of the pair under `SHOWN`."""

    pair_id: str
    trial: Trial
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Signal:
    """One number of a trial, and what it should tell."""

    name: str
    limit: str
    """The gate's limit that it is held against."""
    is_floor: bool
    """Whether the limit is the least that passes, instead of the most."""
    tells: Outcome
    of: Callable[[Trial], float]
    claim: str | None
    """What the source says of it; None for a signal that is ours."""

    def curve(self, examples: Sequence[Example]) -> ROC | None:
        """Return how well the signal tells its regime from the others."""
        sign = -1 if self.is_floor else 1
        return roc(
            [sign * self.of(example.trial) for example in examples],
            [example.outcome is self.tells for example in examples],
            [example.pair_id for example in examples],
        )

    def best_limit(self, curve: ROC) -> float:
        """Return the gate's limit at which a curve of this signal is best."""
        return -curve.best_limit() if self.is_floor else curve.best_limit()


SIGNALS = (
    Signal(
        "late-layer cosine of the values",
        "least_cosine",
        is_floor=True,
        tells=Outcome.WASHOUT,
        of=lambda trial: trial.late_cosine,
        claim="Late-V cosine predicts washout",
    ),
    Signal(
        "mass share of a trial",
        "least_share",
        is_floor=True,
        tells=Outcome.WASHOUT,
        of=lambda trial: trial.mass_share,
        claim=None,
    ),
    Signal(
        "|balance| of a trial",
        "most_balance",
        is_floor=False,
        tells=Outcome.COLLAPSE,
        of=lambda trial: abs(trial.balance),
        claim="A trial's balance detects collapse",
    ),
)


def examples_of(judged: Judged) -> list[Example]:
    """Return every record that has a trial and a merge by `SHOWN`."""
    return [example for record in judged.records for example in _example(judged, record, record)]


def examples_elsewhere(judged: Judged) -> list[Example]:
    """Return each pair's trial behind its shortest prefix, with the outcome behind its longest.

    A trial sees the probes by which the merge itself is judged; this says how far it can be trusted
    where the text before is another.
    """
    by_pair: dict[str, list[Record]] = {}
    for record in judged.records:
        by_pair.setdefault(record.pair_id, []).append(record)
    found = []
    for records in by_pair.values():
        tried, used = (f(records, key=lambda r: r.padding_tokens) for f in (min, max))
        if tried is not used:
            found += _example(judged, tried, used)
    return found


def _example(judged: Judged, tried: Record, used: Record) -> list[Example]:
    trial, outcome = tried.merge(STRATEGY), judged.outcome(used, SHOWN)
    if trial is None or outcome is None:
        return []
    metrics = trial.metrics
    signals = Trial(tried.late_cosine, metrics.balance, metrics.mass_share)
    return [Example(tried.pair_id, signals, outcome)]
