"""Run `latentcrdt bench serve` several times at several sizes; ratios to the limits of each run."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from statistics import median

from latentcrdt.cli.bench.serve import Served, measure
from latentcrdt.cli.output import console
from scripts.machine_facts import facts_line
from scripts.marked_section import markdown, replace_section, spread

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
SECTION = "serve"
SIZES_MB = (1, 16, 64, 256)


def rates(sizes: dict[int, list[Served]]) -> str:
    """Return the table of the medians of all runs: GB/s, and the server's memory at most."""
    whats = [row.what for row in next(iter(sizes.values()))[0].rows]
    rows = []
    for index, what in enumerate(whats):
        cells = []
        for runs in sizes.values():
            same = [run.rows[index] for run in runs]
            rate = f"{median(row.bytes_per_second for row in same) / 1e9:.2f}"
            peaks = [row.server_peak_bytes for row in same if row.server_peak_bytes is not None]
            cells.append(f"{rate} ({max(peaks) / 1e6:.0f})" if peaks else rate)
        rows.append([what, *cells])
    return markdown(["", *(f"{size} MB" for size in sizes)], rows)


def parts(sizes: dict[int, list[Served]]) -> str:
    """Return the table of ratios: the median of all runs, and the lowest and highest of them."""
    limits = {"bare wire": "part_of_bare", "same work": "part_of_same_work"}
    rows = []
    for index, row in enumerate(next(iter(sizes.values()))[0].rows):
        for limit, field in limits.items():
            if getattr(row, field) is None:
                continue
            found = [[getattr(run.rows[index], field) for run in runs] for runs in sizes.values()]
            rows.append([f"{row.what}, of the {limit}", *map(spread, found)])
    waits = [
        f"{max(run.health_p99_seconds for run in runs) * 1e3:.1f} ms" for runs in sizes.values()
    ]
    rows.append(["p99 of `/healthz` meanwhile, worst run", *waits])
    return markdown(["", *(f"{size} MB" for size in sizes)], rows)


def page(sizes: dict[int, list[Served]], *, runs: int, rounds: int) -> str:
    """Return the section of the page."""
    return (
        f"Measured: {facts_line()}; {runs} runs, each of which is the median of {rounds} rounds."
        "\n\n"
        f"**GB/s, median of the runs (in brackets, the server's anonymous memory at most, MB)**\n\n"
        f"{rates(sizes)}\n**Ratios within a run: median of the runs (lowest to highest)**\n\n"
        f"{parts(sizes)}"
    )


def main() -> None:
    """Measure, print, and renew the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, nargs="+", default=list(SIZES_MB))
    parser.add_argument("--runs", type=int, default=3, help="of the whole benchmark")
    parser.add_argument("--rounds", type=int, default=5, help="of each run")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write-docs", action="store_true")
    arguments = parser.parse_args()
    sizes: dict[int, list[Served]] = {size: [] for size in arguments.megabytes}
    for _ in range(arguments.runs):
        for size, found in sizes.items():
            found.append(measure(size * 10**6, arguments.rounds))
    if arguments.json:
        print(json.dumps({size: [asdict(one) for one in found] for size, found in sizes.items()}))
        return
    text = page(sizes, runs=arguments.runs, rounds=arguments.rounds)
    console().print(text)
    if arguments.write_docs:
        replace_section(PAGE, SECTION, text)


if __name__ == "__main__":
    main()
