"""Summary of a run: outcomes by strategy and category, the gate's curves, the findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from latentcrdt.evals.confluence.battery import battery
from latentcrdt.evals.confluence.findings import Finding, findings
from latentcrdt.evals.confluence.gate import ROC, roc
from latentcrdt.evals.confluence.merges import Merge
from latentcrdt.evals.confluence.record import Record, read_records
from latentcrdt.evals.confluence.regimes import Outcome, Thresholds, outcome_of, sensitivity
from latentcrdt.evals.confluence.run import RECORDS
from latentcrdt.evals.manifest import read_manifest

SHOWN = "v-only"
"""The strategy of the map, of the category table and of the gate."""


@dataclass(frozen=True, slots=True)
class Row:
    """How the merges of one kind came out."""

    name: str
    num_pairs: int
    outcomes: dict[str, float]
    """Share of each regime."""
    balance: float
    """Median |balance|."""
    mass_share: float
    """Median share of the branches' own mass."""
    entropy_change: float
    """Median, in nats."""


@dataclass(frozen=True, slots=True)
class CategoryRow:
    """One category under the strategy shown."""

    expected: str
    num_refused: int
    num_trimmed: int
    late_cosine: float
    """Median late-layer cosine of the branches' values."""
    row: Row


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run shows."""

    settings: dict[str, Any]
    sessions: list[Any]
    num_records: int
    refused: list[str]
    strategies: list[Row]
    paddings: list[Row]
    """The strategy shown, behind each length of prefix."""
    categories: list[CategoryRow]
    sensitivity: list[dict[str, object]]
    washout: ROC | None
    """Of the late-layer cosine: low where branches wash out."""
    collapse: ROC | None
    """Of a trial merge's |balance|: large where another strategy loses a branch."""
    findings: list[Finding]


def summarise(run: Path) -> Summary:
    """Return the summary of a run, finished or not."""
    manifest = read_manifest(run)
    records = list(read_records(run / RECORDS))
    measured = [record for record in records if record.refused is None]
    shown = [m for record in measured if (m := record.merge(SHOWN)) is not None]
    names = list(dict.fromkeys((m.strategy, m.anchor) for r in measured for m in r.merges))
    paddings = sorted({record.padding_tokens for record in records})
    return Summary(
        manifest["settings"],
        manifest["sessions"],
        len(records),
        [record.refused for record in records if record.refused is not None],
        [row(f"{n} ({a})", _merges(measured, n, a)) for n, a in names],
        [
            row(str(p), _merges([r for r in measured if r.padding_tokens == p], SHOWN, "a"))
            for p in paddings
            if any(r.padding_tokens == p for r in measured)
        ],
        [_category(c.name, c.expected, records) for c in battery()],
        sensitivity(m.metrics for m in shown) if shown else [],
        _washout(measured),
        _collapse(measured),
        findings(measured, num_layers=int(manifest["settings"]["layers"])),
    )


def row(name: str, merges: Sequence[Merge]) -> Row:
    """Return the medians and the share of each regime of some merges, at least one."""
    metrics = [merge.metrics for merge in merges]
    counts = Counter(outcome_of(m, Thresholds()) for m in metrics)
    return Row(
        name,
        len(metrics),
        {str(o): counts[o] / len(metrics) for o in Outcome},
        median(abs(m.balance) for m in metrics),
        median(m.mass_share for m in metrics),
        median(m.entropy_change for m in metrics),
    )


def _merges(records: Iterable[Record], strategy: str, anchor: str) -> list[Merge]:
    return [m for record in records if (m := record.merge(strategy, anchor)) is not None]


def _category(name: str, expected: str, records: Sequence[Record]) -> CategoryRow:
    own = [record for record in records if record.category == name]
    measured = [record for record in own if record.refused is None]
    merges = _merges(measured, SHOWN, "a")
    return CategoryRow(
        expected,
        len(own) - len(measured),
        sum(record.trimmed > 0 for record in measured),
        median(record.late_cosine for record in measured) if measured else 0.0,
        row(name, merges) if merges else Row(name, 0, {}, 0.0, 0.0, 0.0),
    )


def _washout(records: Sequence[Record]) -> ROC | None:
    shown = [(r.late_cosine, m) for r in records if (m := r.merge(SHOWN)) is not None]
    is_case = [outcome_of(m.metrics, Thresholds()) is Outcome.WASHOUT for _, m in shown]
    return roc([-cosine for cosine, _ in shown], is_case)


def _collapse(records: Sequence[Record]) -> ROC | None:
    """Return the curve of a trial by the plain average for collapse under the strategy shown."""
    pairs = [
        (abs(trial.metrics.balance), outcome_of(m.metrics, Thresholds()))
        for r in records
        if (m := r.merge(SHOWN)) is not None and (trial := r.merge("uniform-average")) is not None
    ]
    return roc([signal for signal, _ in pairs], [o is Outcome.COLLAPSE for _, o in pairs])
