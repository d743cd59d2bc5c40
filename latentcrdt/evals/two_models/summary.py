"""Summary of a run: what each way is worth, win rates, geometry, the bound, the findings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

from latentcrdt.evals.manifest import read_manifest
from latentcrdt.evals.report.finding import Finding
from latentcrdt.evals.statistics import Difference, Interval, paired_difference, wilson
from latentcrdt.evals.two_models.findings import findings
from latentcrdt.evals.two_models.record import (
    KNOWN,
    Judgement,
    Record,
    Setting,
    read_judgements,
    read_records,
)
from latentcrdt.evals.two_models.run import JUDGEMENTS, RECORDS

ALL = "all"


@dataclass(frozen=True, slots=True)
class WayRow:
    """One setting."""

    setting: Setting
    accuracy: float
    interval: Interval
    loss: float
    """Mean loss of the right answers' tokens, in nats."""
    beside: Difference | None
    """Loss minus that of the merge of weights by the same rule, case by case; below 0 is better."""
    midness: float | None
    """At the merged layer; for weights, the mean over layers, as all that follows."""
    arc_ratio: float | None
    deviation: float | None
    cka_base: float | None
    """Averaged over the layers from the merged one on; for weights, over all."""
    cka_tuned: float | None


@dataclass(frozen=True, slots=True)
class WinRow:
    """Latent merges beside merges of weights by the same rule, over all layers and alphas."""

    judge: str
    operator: str
    category: str
    wins: int
    ties: int
    losses: int
    points: float
    """Mean: a win is 1, a tie 0.5."""
    interval: Interval
    """Bootstrap over cases: the settings of one case are no independent trials."""

    @property
    def decided(self) -> float | None:
        """Share of wins among what was no tie."""
        return self.wins / (self.wins + self.losses) if self.wins + self.losses else None


@dataclass(frozen=True, slots=True)
class JudgeRow:
    """What a judge said of right answers beside wrong ones."""

    judge: str
    num_cases: int
    right: int
    ties: int


@dataclass(frozen=True, slots=True)
class BoundRow:
    """The bound under one operator with constants at one quantile, over layers and alphas."""

    operator: str
    quantile: float
    violations: float
    """Mean share of tokens above the bound."""
    worst: float
    """The greatest share of any layer and alpha."""
    slack: float
    """Median of the medians of bound - loss, in nats."""
    foreign_violations: float
    foreign_slack: float


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run shows."""

    settings: dict[str, Any]
    sessions: list[Any]
    ways: list[WayRow]
    wins: list[WinRow]
    judges: list[JudgeRow]
    bounds: list[BoundRow]
    findings: list[Finding]


def summarise(run: Path) -> Summary:
    """Return the summary of a run, finished or not."""
    manifest = read_manifest(run)
    # By layer: a run may be asked for its layers in any order, and a line joins neighbours.
    ordered = sorted(read_records(run / RECORDS), key=lambda record: record.setting.layer)
    records = {record.setting: record for record in ordered}
    judgements = list(read_judgements(run / JUDGEMENTS))
    settings = manifest["settings"]
    return Summary(
        settings,
        manifest["sessions"],
        [_way(record, records.get(record.setting.beside)) for record in records.values()],
        _wins(judgements, settings["cases"]),
        [_judge(entry) for entry in judgements if entry.setting == KNOWN],
        _bounds(list(records.values())),
        findings(list(records.values()), judgements, num_layers=settings["num_layers"]),
    )


def _way(record: Record, weights: Record | None) -> WayRow:
    right = sum(record.right.values())
    layers = record.layers
    first = layers[:1] if record.setting.where == "latent" else layers
    beside = None
    if record.setting.where == "latent" and weights is not None:
        ids = list(record.losses)
        beside = paired_difference(
            [record.losses[i] for i in ids], [weights.losses[i] for i in ids]
        )
    return WayRow(
        record.setting,
        right / len(record.right),
        wilson(right, len(record.right)),
        fmean(record.losses.values()),
        beside,
        _mean([layer.midness for layer in first]),
        _mean([layer.arc_ratio for layer in first]),
        _mean([layer.deviation for layer in first]),
        _mean([layer.cka_base for layer in layers]),
        _mean([layer.cka_tuned for layer in layers]),
    )


def _wins(judgements: Sequence[Judgement], categories: Mapping[str, str]) -> list[WinRow]:
    rows = []
    merges = [entry for entry in judgements if entry.setting != KNOWN]
    for judge in dict.fromkeys(entry.judge for entry in merges):
        for operator in dict.fromkeys(entry.setting.operator for entry in merges):
            own = [e for e in merges if (e.judge, e.setting.operator) == (judge, operator)]
            for category in (ALL, *dict.fromkeys(categories.values())):
                ids = [i for i, c in categories.items() if category in (ALL, c)]
                points = [entry.points[i] for entry in own for i in ids]
                by_case = [fmean(entry.points[i] for entry in own) for i in ids]
                low, high = paired_difference(by_case, [0.5] * len(ids)).interval
                wins, losses = (sum(p > 0.5 for p in points), sum(p < 0.5 for p in points))
                rows.append(
                    WinRow(
                        judge,
                        operator,
                        category,
                        wins,
                        len(points) - wins - losses,
                        losses,
                        fmean(points),
                        Interval(low + 0.5, high + 0.5),
                    )
                )
    return rows


def _judge(entry: Judgement) -> JudgeRow:
    points = list(entry.points.values())
    return JudgeRow(
        entry.judge, len(points), sum(p > 0.5 for p in points), sum(p == 0.5 for p in points)
    )


def _bounds(records: Sequence[Record]) -> list[BoundRow]:
    groups: dict[tuple[str, float], list[Any]] = {}
    for record in records:
        for entry in record.bound:
            groups.setdefault((record.setting.operator, entry.quantile), []).append(entry)
    return [
        BoundRow(
            operator,
            quantile,
            fmean(e.violations for e in entries),
            max(e.violations for e in entries),
            median(e.slack for e in entries),
            fmean(e.foreign_violations for e in entries),
            median(e.foreign_slack for e in entries),
        )
        for (operator, quantile), entries in sorted(groups.items())
    ]


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
