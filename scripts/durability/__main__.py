"""Hold the directory store to its promises under real and simulated faults; print one table.

What this machine cannot do (strace, root, loop devices, mkfs) is named and counted as not run. Exit
status 1 when a promise was broken, when a planted bug was not seen, or when nothing ran.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from scripts.durability import simulations
from scripts.durability.bit_rot import bit_rot
from scripts.durability.full_disks import full_disks
from scripts.durability.power_cuts import power_cuts
from scripts.durability.row import Row
from scripts.durability.system_calls import failing_syncs, kills, no_room

STYLES = {"passed": "green", "FAILED": "bold red", "did not run": "yellow"}


def sections(options: argparse.Namespace) -> dict[str, Callable[[], Iterator[Row]]]:
    """Return what can be run, by name."""
    return {
        "kill": lambda: kills(sparse=options.quick),
        "sync": failing_syncs,
        "full": lambda: (row for rows in (no_room(), full_disks()) for row in rows),
        "power": lambda: power_cuts(options.cuts),
        "rot": lambda: iter([bit_rot(options.objects)]),
        "seeds": lambda: iter([simulations.seeds(options.seeds)]),
        "points": simulations.points,
        "plants": simulations.plants,
    }


def table(rows: list[Row]) -> Table:
    """Return the table for people."""
    numbers = [Column(name, justify="right") for name in ("faults", "acknowledged", "broken")]
    columns = Table("fault", "where", *numbers, "result", "note", box=None)
    for row in rows:
        counts = [f"{n:,}" for n in (row.points, row.acknowledged, len(row.broken))]
        result = Text(row.result, STYLES[row.result])
        columns.add_row(row.fault, row.where, *counts, result, row.missing or row.note)
    return columns


def main() -> None:
    """Run the sections that are named, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m scripts.durability", description=__doc__)
    parser.add_argument("--only", nargs="*", default=None, help="names of sections")
    parser.add_argument("--quick", action="store_true", help="kill at few calls of each kind")
    parser.add_argument("--seeds", type=int, default=3000, help="random seeds of the simulation")
    parser.add_argument("--cuts", type=int, default=40, help="power cuts for each file system")
    parser.add_argument("--objects", type=int, default=1000, help="objects in which a bit flips")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    logging.disable()
    progress = Console(stderr=True)
    rows: list[Row] = []
    for name, run in sections(options).items():
        if options.only is not None and name not in options.only:
            continue
        began = time.monotonic()
        for row in run():
            rows.append(row)
            took = time.monotonic() - began
            progress.print(f"{took:6.1f} s  {row.fault}, {row.where}: {row.result}", style="dim")
            for broken in row.broken[:5] if row.result == "FAILED" else ():
                progress.print(f"    {broken}", style="red")
            began = time.monotonic()
    if options.json:
        print(json.dumps([asdict(row) | {"result": row.result} for row in rows], indent=2))
    else:
        Console(width=None if sys.stdout.isatty() else 180).print(table(rows))
    results = Counter(row.result for row in rows)
    progress.print(", ".join(f"{count} {result}" for result, count in results.items()) or "nothing")
    sys.exit(1 if results["FAILED"] or not results["passed"] else 0)


if __name__ == "__main__":
    main()
