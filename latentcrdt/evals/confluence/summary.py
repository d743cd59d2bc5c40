"""Summary of a run: outcomes by strategy and category, the findings, the gate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from latentcrdt.evals.confluence.battery import Category, battery
from latentcrdt.evals.confluence.calibration import Calibration, calibrate
from latentcrdt.evals.confluence.category_findings import SAID, of_categories
from latentcrdt.evals.confluence.findings import findings
from latentcrdt.evals.confluence.judged import Judged
from latentcrdt.evals.confluence.record import Record, read_records
from latentcrdt.evals.confluence.regimes import (
    GRID,
    Outcome,
    Thresholds,
    outcome_of,
    sensitivity,
)
from latentcrdt.evals.confluence.run import RECORDS
from latentcrdt.evals.confluence.signals import SHOWN, examples_elsewhere, examples_of
from latentcrdt.evals.manifest import read_manifest
from latentcrdt.evals.report.finding import Finding
from latentcrdt.merging.gate.metrics import Metrics

ALONE = ("branch A alone", "branch B alone")
"""What is no merge, and comes out as something all the same."""


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
    lean: float
    """Median of `Record.lean`; 0 where no record has one."""
    midway: float
    """Share of those leans that are nearer to 0 than to either branch alone."""


@dataclass(frozen=True, slots=True)
class CategoryRow:
    """One category under the strategy shown."""

    expected: str
    num_refused: int
    num_trimmed: int
    late_cosine: float
    """Median late-layer cosine of the branches' values."""
    row: Row
    finding: Finding | None
    """Whether it comes out as the source says; None where that is said to vary."""


@dataclass(frozen=True, slots=True)
class Held:
    """A finding, and whether it depends on the borders between regimes."""

    finding: Finding
    num_same: int
    """Of the borders of `GRID`, how many lead to the same verdict."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run shows."""

    settings: dict[str, Any]
    sessions: list[Any]
    num_records: int
    refused: list[str]
    findings: list[Held]
    strategies: list[Row]
    paddings: list[Row]
    """The strategy shown, behind each length of prefix."""
    categories: list[CategoryRow]
    sensitivity: list[dict[str, float]]
    calibration: Calibration


def summarise(run: Path) -> Summary:
    """Return the summary of a run, finished or not."""
    manifest = read_manifest(run)
    records = list(read_records(run / RECORDS))
    measured = [record for record in records if record.refused is None]
    judged = Judged(measured, Thresholds())
    shown = _merges(measured, SHOWN, "a")
    names = list(dict.fromkeys((m.strategy, m.anchor) for r in measured for m in r.merges))
    paddings = sorted({record.padding_tokens for record in measured})
    return Summary(
        settings=manifest["settings"],
        sessions=manifest["sessions"],
        num_records=len(records),
        refused=[record.refused for record in records if record.refused is not None],
        findings=held_findings(measured, int(manifest["settings"]["layers"])),
        strategies=[
            *(
                row(name, [(r, r.alone[i]) for r in measured if r.alone])
                for i, name in enumerate(ALONE)
            ),
            *(row(f"{n} ({a})", _merges(measured, n, a)) for n, a in names),
        ],
        paddings=[
            row(str(p), _merges([r for r in measured if r.padding_tokens == p], SHOWN, "a"))
            for p in paddings
        ],
        categories=[_category(category, records, judged) for category in battery()],
        sensitivity=sensitivity(metrics for _, metrics in shown) if shown else [],
        calibration=calibrate(examples_of(judged), examples_elsewhere(judged)),
    )


def held_findings(measured: Sequence[Record], num_layers: int) -> list[Held]:
    """Return each finding on measured records, and how many other borders lead to the same."""
    chosen = findings(measured, num_layers=num_layers, thresholds=Thresholds())
    elsewhere = [findings(measured, num_layers=num_layers, thresholds=other) for other in GRID]
    return [
        Held(finding, sum(other[i].verdict is finding.verdict for other in elsewhere))
        for i, finding in enumerate(chosen)
    ]


Measured = tuple[Record, Metrics]
"""A merge's figures, and the record that they are of."""


def row(name: str, found: Sequence[Measured]) -> Row:
    """Return the medians and the share of each regime of some merges."""
    if not found:
        return Row(name, 0, {}, 0.0, 0.0, 0.0, 0.0, 0.0)
    metrics = [m for _, m in found]
    counts = Counter(outcome_of(m, Thresholds()) for m in metrics)
    leans = [lean for record, m in found if (lean := record.lean(m)) is not None]
    return Row(
        name,
        len(metrics),
        {str(o): counts[o] / len(metrics) for o in Outcome},
        median(abs(m.balance) for m in metrics),
        median(m.mass_share for m in metrics),
        median(m.entropy_change for m in metrics),
        median(leans) if leans else 0.0,
        sum(abs(lean) < 1 / 2 for lean in leans) / len(leans) if leans else 0.0,
    )


def _merges(records: Iterable[Record], strategy: str, anchor: str) -> list[Measured]:
    return [(r, m.metrics) for r in records if (m := r.merge(strategy, anchor)) is not None]


def _category(category: Category, records: Sequence[Record], judged: Judged) -> CategoryRow:
    own = [record for record in records if record.category == category.name]
    measured = [record for record in own if record.refused is None]
    finding = None
    if category.expected in SAID:
        outcome = SAID[category.expected]
        finding = of_categories(judged, {category.name}, outcome, category.name)
    return CategoryRow(
        category.expected,
        len(own) - len(measured),
        sum(record.trimmed > 0 for record in measured),
        median(record.late_cosine for record in measured) if measured else 0.0,
        row(category.name, _merges(measured, SHOWN, "a")),
        finding,
    )
