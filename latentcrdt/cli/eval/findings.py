"""Show a report that holds the findings of its source."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from latentcrdt.cli.output import console, print_json

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from latentcrdt.evals.report.finding import Finding


def show_findings(
    summary: DataclassInstance, findings: Iterable[Finding], out: Path, *, as_json: bool
) -> None:
    """Print the summary as JSON, or a row for each of its findings and where the report is."""
    if as_json:
        print_json(asdict(summary))
        return
    table = Table("finding", "verdict", "evidence", box=None, pad_edge=False)
    for finding in findings:
        table.add_row(finding.claim, str(finding.verdict), escape(finding.evidence))
    console().print(table)
    console().print(f"report: {out / 'report.md'}", markup=False, soft_wrap=True)
