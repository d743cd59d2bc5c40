"""The files of a confluence report: report.json, report.md and the plots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from latentcrdt.evals.confluence.calibration import Calibration, Share
from latentcrdt.evals.confluence.plots import draw
from latentcrdt.evals.confluence.record import read_records
from latentcrdt.evals.confluence.regimes import GRID, Outcome, Thresholds
from latentcrdt.evals.confluence.roc import ROC
from latentcrdt.evals.confluence.run import RECORDS
from latentcrdt.evals.confluence.signals import SHOWN
from latentcrdt.evals.confluence.summary import CategoryRow, Row, Summary, summarise
from latentcrdt.evals.report.table import accuracy, plain, table
from latentcrdt.evals.report.write_files import write_summary


def write_report(run: Path, out: Path) -> Summary:
    """Write the report of a run, finished or not, and return its summary."""
    summary = summarise(run)
    plots = draw(summary, list(read_records(run / RECORDS)))
    write_summary(out, summary, page(summary, list(plots)), plots)
    return summary


def page(summary: Summary, plots: Sequence[str]) -> Iterator[str]:
    """Yield the lines of the page."""
    borders = Thresholds()
    yield f"# Confluence on {summary.settings['model']}\n"
    yield (
        f"Washout: a merge has less than {borders.mass_share:g} of the mass that the branches "
        f"alone give their own tokens. Else collapse where |balance| > {borders.balance:.3f} (one "
        "branch has more than twice the other's mass), else confluence. Medians over pairs.\n"
    )
    for name, value in sorted(summary.settings.items()):
        yield f"- {name}: {plain(value)}"
    for session in summary.sessions:
        yield f"- run: {plain(session)}"
    yield f"- records: {summary.num_records}, of them refused: {len(summary.refused)}"
    yield "\n## Findings of the source\n"
    yield (
        "Brackets: 95 % intervals by resampling the pairs; a finding is reproduced, or refuted, "
        f"where they leave no doubt. Last column: of {len(GRID)} borders between the regimes "
        "(below), how many lead to the same verdict.\n"
    )
    yield from table(
        ("finding", "verdict", "evidence", "borders"),
        (
            [h.finding.claim, str(h.finding.verdict), h.finding.evidence, str(h.num_same)]
            for h in summary.findings
        ),
    )
    yield "\n## Strategies\n"
    yield (
        "Lean: where the balance lies between those of the branches alone, +1 for A's, -1 for B's: "
        "unlike balance it does not depend on which words are common. Pairs whose branches alone "
        "are not twice apart are left out of it. Midway: share of the merges "
        "whose lean is nearer to 0 than to 1 or -1. The branches alone are no merges; whatever "
        "they are called here, a strategy has to be better than that.\n"
    )
    yield from table(_HEAD, (_cells(row) for row in summary.strategies))
    yield f"\n## Length of the shared prefix ({SHOWN}, tokens of neutral text before it)\n"
    yield from table(("tokens", *_HEAD[1:]), (_cells(row) for row in summary.paddings))
    yield f"\n## Categories ({SHOWN})\n"
    yield (
        "Verdict: whether the pairs come out as said more often than those of all other "
        "categories, by the interval of the difference; of so many, one in twenty by chance.\n"
    )
    yield from table(
        ("category", "said to", "verdict", "late V cosine", "refused", "trimmed", *_HEAD[1:]),
        map(_category, summary.categories),
    )
    yield f"\n## Other borders between the regimes ({SHOWN})\n"
    if summary.sensitivity:
        names = list(summary.sensitivity[0])
        rows = ([f"{row[name]:.3f}" for name in names] for row in summary.sensitivity)
        yield from table(names, rows)
    yield from _gate(summary.calibration)
    if summary.refused:
        yield "\n## Refused\n"
        yield from _refusals(summary.refused)
    for name in plots:
        yield f"\n![{name}]({name})"


def _refusals(refused: Sequence[str]) -> Iterator[str]:
    """Yield each reason once, with the pairs that it is given for."""
    by_reason: dict[str, list[str]] = {}
    for refusal in refused:
        pair_id, _, reason = refusal.partition(": ")
        by_reason.setdefault(reason, []).append(pair_id)
    for reason, pair_ids in by_reason.items():
        names = ", ".join(dict.fromkeys(pair_ids))
        yield f"- {reason}: {len(pair_ids)} records ({names})"


def _gate(found: Calibration) -> Iterator[str]:
    yield f"\n## The gate, before a merge by {SHOWN}\n"
    yield from _curves(found.curves)
    yield "\nTried behind the shortest prefix, judged behind the longest:\n"
    yield from _curves(found.curves_elsewhere)
    limits = {n: limit for n, limit in asdict(found.gate).items() if limit is not None}
    given = ", ".join(f"{name}={limit:.3f}" for name, limit in limits.items())
    yield f"\nCalibrated on all of them: `Gate({given})`. On pairs that a gate has not seen:\n"
    yield from table(
        ("merges", "of", "share, %"),
        (
            [name, f"{share.count} of {share.of}", _percent(share)]
            for name, share in (
                ("confluent ones that pass", found.kept),
                ("others that are stopped", found.stopped),
                ("confluent without a gate", found.confluent),
                ("confluent among those that pass", found.confluent_passed),
            )
        ),
    )


def _curves(curves: Mapping[str, ROC | None]) -> Iterator[str]:
    for name, curve in curves.items():
        if curve is None:
            yield f"- {name}: not to be told, all merges came out alike, or there are none"
        else:
            low, high = curve.interval
            yield (
                f"- {name}: area under the curve {curve.area:.3f} [{low:.3f}, {high:.3f}], "
                f"{curve.num_cases} cases and {curve.num_others} others"
            )


def _percent(share: Share) -> str:
    return accuracy(share.count / share.of, share.interval) if share.of else ""


def _category(entry: CategoryRow) -> list[str]:
    return [
        entry.row.name,
        entry.expected,
        "" if entry.finding is None else str(entry.finding.verdict),
        f"{entry.late_cosine:.3f}",
        str(entry.num_refused),
        str(entry.num_trimmed),
        *_cells(entry.row)[1:],
    ]


_HEAD = (
    "strategy (anchor)",
    "merges",
    *map(str, Outcome),
    "balance",
    "mass",
    "entropy change",
    "lean",
    "midway",
)


def _cells(row: Row) -> list[str]:
    return [
        row.name,
        str(row.num_pairs),
        *(f"{row.outcomes.get(str(outcome), 0.0):.1%}" for outcome in Outcome),
        f"{row.balance:.3f}",
        f"{row.mass_share:.2f}",
        f"{row.entropy_change:+.3f}",
        f"{row.lean:+.2f}",
        f"{row.midway:.1%}",
    ]
