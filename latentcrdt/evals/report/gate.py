"""The report of a gate: gate.json, gate.md and, where matplotlib is installed, gate.svg."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from latentcrdt.evals.gate import GateReport
from latentcrdt.evals.report.table import accuracy, percent, plain, table
from latentcrdt.evals.report.write_files import write_files


def write_gate_report(report: GateReport, directory: Path) -> None:
    """Write the report's files."""
    contents = {"gate.json": json.dumps(asdict(report), indent=1).encode() + b"\n"}
    page = "\n".join(gate_markdown(report))
    if importlib.util.find_spec("matplotlib") is not None:
        from latentcrdt.evals.report.gate_plot import draw_gate  # noqa: PLC0415  # needs the extra

        contents["gate.svg"] = draw_gate(report)
        page += "\n\n![Reliability, and accuracy against cost](gate.svg)"
    contents["gate.md"] = f"{page}\n".encode()
    write_files(directory, contents)


def gate_markdown(report: GateReport) -> Iterator[str]:
    """Yield the lines of the page."""
    yield f"# The gate on {report.settings['model']}\n"
    yield from (f"- {name}: {plain(value)}" for name, value in report.settings.items())
    chosen = ", ".join(f"{outcome} {count}" for outcome, count in report.outcomes.items())
    yield (
        f"\nCalibrated on {report.num_calibration} questions, judged on {report.num_judged} "
        f"others; {percent(report.hurt)} % of these are lost by the merge and not by the texts. "
        f"Chosen: {chosen}. Cost: tokens that the final agent computes, those of the trial "
        "included.\n"
    )
    yield from table(
        ["way", "accuracy", "mean cost"],
        [[w.name, accuracy(w.accuracy, w.interval), f"{w.mean_cost:.1f}"] for w in report.ways],
    )
    error = percent(report.calibration_error)
    yield f"\nRisk against what happened (expected calibration error {error} points):\n"
    yield from table(
        ["predicted", "observed", "questions"],
        [[percent(b.predicted), percent(b.observed), str(b.count)] for b in report.bins],
    )
