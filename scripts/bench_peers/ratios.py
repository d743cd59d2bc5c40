"""Our push and fetch as parts of what others reach, over several runs: docs/benchmarks.md.

    python -m scripts.bench_peers --json one.json      # and so on, with nothing else running
    python -m scripts.bench_peers.ratios one.json two.json three.json --write-docs

A part is taken within one run, since the same limit drifts from run to run.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.bench_peers.measure import Cell
from scripts.bench_peers.ours import FETCH, PUSH
from scripts.marked_section import markdown, replace_section, spread

PAGE = Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md"
SECTION = "peer-ratios"

NO_RIVALS = ("memcpy", "latentcrdt")
"""Beginnings of the operations that nothing is held against."""


def table(runs: Sequence[Mapping[str, Any]]) -> str:
    """Return the table: the median of the runs' parts, and the lowest and highest."""
    rates = [
        {(row["operation"], Cell(**row["cell"])): row["bytes_per_second"] for row in run["rows"]}
        for run in runs
    ]
    cells = list(dict.fromkeys(cell for _, cell in rates[0]))
    is_put = {row["operation"]: row["is_put"] for row in runs[0]["rows"]}
    lines = []
    for rival, puts in is_put.items():
        if rival.startswith(NO_RIVALS):
            continue
        ours = PUSH if puts else FETCH
        parts = ([run[ours, cell] / run[rival, cell] for run in rates] for cell in cells)
        lines.append([f"{ours.removeprefix('latentcrdt ')}, of {rival}", *map(spread, parts)])
    return markdown(["", *map(_title, cells)], lines)


def _title(cell: Cell) -> str:
    clients = "" if cell.num_clients == 1 else f", {cell.num_clients} clients"
    return f"{cell.megabytes} MB{clients}"


def main() -> None:
    """Print the table, or renew the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", nargs="+", type=Path, help="what --json of a run left")
    parser.add_argument("--write-docs", action="store_true")
    arguments = parser.parse_args()
    found = table([json.loads(path.read_text(encoding="utf-8")) for path in arguments.runs])
    if arguments.write_docs:
        replace_section(PAGE, SECTION, found)
    else:
        print(found)


if __name__ == "__main__":
    main()
