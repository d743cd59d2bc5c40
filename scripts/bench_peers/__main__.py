"""Time push, fetch and render beside the limits of this machine and other programs' stores.

Every operation takes its turn in every round, on content that nobody has seen. Nothing is dropped
from the page cache. Servers and files are new for each size and number of clients.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from latentcrdt.cli.output import console
from scripts.bench_peers.clients import Clients
from scripts.bench_peers.contender import Contender
from scripts.bench_peers.limits import LIMITS
from scripts.bench_peers.measure import Cell, Health, Row, measure
from scripts.bench_peers.ours import OURS
from scripts.bench_peers.page import SECTION, Grid, Report, grids, promises, section
from scripts.bench_peers.plot import plot
from scripts.bench_peers.provisions import peers
from scripts.bench_peers.shared_folder import SHARED_FOLDER
from scripts.machine_facts import load_average, machine_facts
from scripts.marked_section import replace_section

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE, FIGURE = DOCS / "benchmarks.md", DOCS / "benchmarks.svg"

LARGEST_CELL_MB = 512
"""Of all clients together; each program holds them several times over, and 24 GB were too few."""

FULL = tuple(
    Cell(megabytes, clients)
    for clients in (1, 8)
    for megabytes in (1, 16, 64, 256)
    if megabytes * clients <= LARGEST_CELL_MB
)
QUICK = (Cell(1, 1), Cell(8, 2))

ROOM_BYTES = 24 * 10**9
"""What the files of the largest cell take, of all rounds and contenders, and something over."""


def run(
    cells: tuple[Cell, ...], contenders: list[Contender], *, runs: int, scratch: Path
) -> Report:
    """Return the report of all cells; says on stderr how far it is."""
    facts = machine_facts()
    progress = Console(stderr=True, highlight=False)
    rows: list[Row] = []
    healths: list[Health] = []
    with Clients(max(cell.num_clients for cell in cells)) as clients:
        for cell in cells:
            load = load_average()
            progress.print(f"{cell.megabytes} MB, clients: {cell.num_clients}, load: {load}")
            found, health = measure(cell, clients, contenders, runs=runs, scratch=scratch)
            rows += found
            healths.append(health)
    facts["load average"] += f" at the start, {load_average()} at the end"
    return Report(facts, runs, rows, healths, promises(contenders), {})


def as_table(grid: Grid) -> Table:
    """Return a table for a terminal."""
    table = Table(title=grid.title, box=None, pad_edge=False, title_justify="left")
    for number, header in enumerate(grid.headers):
        table.add_column(header, justify="right" if number else "left")
    for row in grid.rows:
        table.add_row(*row)
    return table


def main() -> None:
    """Measure; print, and write what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bench_peers", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two small cells: does it run")
    parser.add_argument("--alone", action="store_true", help="no peers: ours and the limits")
    parser.add_argument("--runs", type=int, default=3, help="rounds to take the median of")
    parser.add_argument("--scratch", type=Path, help="a folder on the disk to measure")
    parser.add_argument("--json", type=Path, help="leave every figure in this file")
    parser.add_argument("--write-docs", action="store_true", help="renew the page and its figure")
    options = parser.parse_args()
    contenders, missing = ([], {}) if options.alone else peers()
    contenders = [*LIMITS, OURS, *([] if options.alone else [SHARED_FOLDER]), *contenders]
    cells = QUICK if options.quick else FULL
    with tempfile.TemporaryDirectory(prefix="latentcrdt-bench-", dir=options.scratch) as scratch:
        if not options.quick and shutil.disk_usage(scratch).free < ROOM_BYTES:
            parser.error(f"{scratch}: expected {ROOM_BYTES} bytes free; give another --scratch")
        report = run(cells, contenders, runs=options.runs, scratch=Path(scratch))
    report.missing.update(missing)
    for grid in grids(report):
        console().print(as_table(grid), "")
    for name, reason in missing.items():
        console().print(f"{name} did not run: {reason}")
    if options.json:
        options.json.write_text(json.dumps(asdict(report), indent=1), encoding="utf-8")
    if options.write_docs:
        replace_section(PAGE, SECTION, section(report))
        plot(report, FIGURE)


if __name__ == "__main__":
    main()
