"""The files of a report: report.json, report.md and, where matplotlib is installed, plots."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import asdict
from pathlib import Path

from latentcrdt.evals.report.markdown import markdown
from latentcrdt.evals.report.summary import Summary
from latentcrdt.evals.report.write_files import write_files


def write_report(summary: Summary, directory: Path) -> list[Path]:
    """Write the report of a run and return the paths of its files.

    Without matplotlib (extra ``eval``) the plots are left out, and the page does not show them.
    """
    plots: dict[str, bytes] = {}
    if importlib.util.find_spec("matplotlib") is not None:
        from latentcrdt.evals.report.plots import draw  # noqa: PLC0415  # needs the extra

        plots = draw(summary)
    images = "".join(f"\n![{name}]({name})\n" for name in plots)
    contents = {
        "report.json": _document(summary),
        "report.md": f"{markdown(summary)}\n{images}".encode(),
        **plots,
    }
    write_files(directory, contents)
    return [directory / name for name in contents]


def _document(summary: Summary) -> bytes:
    """Return the summary as JSON, a cell a line: small, and two of them can be compared by eye."""
    document = asdict(summary)
    cells = ",\n".join(json.dumps(cell, separators=(",", ":")) for cell in document.pop("cells"))
    head = json.dumps(document, indent=1, ensure_ascii=False).removesuffix("\n}")
    return f'{head},\n "cells": [\n{cells}\n ]\n}}\n'.encode()
