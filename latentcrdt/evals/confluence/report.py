"""The files of a confluence report: report.json, report.md and the plots."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from latentcrdt.client.atomic_file import replacing
from latentcrdt.evals.confluence.plots import draw
from latentcrdt.evals.confluence.record import read_records
from latentcrdt.evals.confluence.regimes import Outcome, Thresholds
from latentcrdt.evals.confluence.run import RECORDS
from latentcrdt.evals.confluence.summary import SHOWN, Row, Summary, summarise
from latentcrdt.evals.report.table import plain, table


def write_report(run: Path, out: Path) -> Summary:
    """Write the report of a run, finished or not, and return its summary."""
    summary = summarise(run)
    plots = draw(summary, list(read_records(run / RECORDS)))
    contents = {
        "report.json": json.dumps(asdict(summary), indent=1, ensure_ascii=False).encode() + b"\n",
        "report.md": "\n".join(page(summary, list(plots))).encode() + b"\n",
        **plots,
    }
    out.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        with replacing(out / name) as file:
            file.write(content)
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
    yield from table(
        ("finding", "verdict", "evidence"),
        ([f.claim, str(f.verdict), f.evidence] for f in summary.findings),
    )
    yield "\n## Strategies\n"
    yield from table(_HEAD, (_cells(row) for row in summary.strategies))
    yield f"\n## Length of the shared prefix ({SHOWN}, tokens of neutral text before it)\n"
    yield from table(("tokens", *_HEAD[1:]), (_cells(row) for row in summary.paddings))
    yield f"\n## Categories ({SHOWN})\n"
    yield from table(
        ("category", "said to", "late V cosine", "refused", "trimmed", *_HEAD[1:]),
        (
            [
                entry.row.name,
                entry.expected,
                f"{entry.late_cosine:.3f}",
                str(entry.num_refused),
                str(entry.num_trimmed),
                *_cells(entry.row)[1:],
            ]
            for entry in summary.categories
        ),
    )
    yield f"\n## Other borders between the regimes ({SHOWN})\n"
    if summary.sensitivity:
        names = list(summary.sensitivity[0])
        rows = ([f"{float(str(row[n])):.3f}" for n in names] for row in summary.sensitivity)
        yield from table(names, rows)
    yield "\n## The gate\n"
    for name, curve in (
        ("late-layer cosine of the values, for washout", summary.washout),
        ("|balance| of a trial by uniform-average, for collapse", summary.collapse),
    ):
        if curve is None:
            yield f"- {name}: not to be told, all pairs came out alike"
        else:
            yield (
                f"- {name}: area under the curve {curve.area:.3f} "
                f"({curve.num_cases} cases, {curve.num_others} others)"
            )
    if summary.refused:
        yield "\n## Refused\n"
        yield from (f"- {reason}" for reason in summary.refused)
    for name in plots:
        yield f"\n![{name}]({name})"


_HEAD = ("strategy (anchor)", "pairs", *map(str, Outcome), "balance", "mass", "entropy change")


def _cells(row: Row) -> list[str]:
    return [
        row.name,
        str(row.num_pairs),
        *(f"{row.outcomes.get(str(outcome), 0.0):.1%}" for outcome in Outcome),
        f"{row.balance:.3f}",
        f"{row.mass_share:.2f}",
        f"{row.entropy_change:+.3f}",
    ]
