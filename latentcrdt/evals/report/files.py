"""The files of a report: report.json, report.md and, where matplotlib is installed, plots."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import asdict
from pathlib import Path

from latentcrdt.client.atomic_file import replacing
from latentcrdt.evals.report.markdown import markdown
from latentcrdt.evals.report.summary import Summary


def write_report(summary: Summary, directory: Path) -> list[Path]:
    """Write the report of a run and return the paths of its files.

    Without matplotlib (extra ``eval``) the plots are left out, and the page does not show them.
    """
    directory.mkdir(parents=True, exist_ok=True)
    plots: dict[str, bytes] = {}
    if importlib.util.find_spec("matplotlib") is not None:
        from latentcrdt.evals.report.plots import draw  # noqa: PLC0415  # needs the extra

        plots = draw(summary)
    images = "".join(f"\n![{name}]({name})\n" for name in plots)
    document = json.dumps(asdict(summary), indent=1, ensure_ascii=False)
    contents = {
        "report.json": document.encode() + b"\n",
        "report.md": f"{markdown(summary)}\n{images}".encode(),
        **plots,
    }
    for name, content in contents.items():
        with replacing(directory / name) as file:
            file.write(content)
    return [directory / name for name in contents]
