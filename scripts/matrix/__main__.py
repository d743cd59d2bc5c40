"""Compute the golden vectors in many environments and print one table; exit 1 on a difference.

The full matrix fetches what it needs once, into the user's cache directory; what cannot be had here
is named and counted. With --plant, every environment has one known error, and the table shows which
of them see it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

from rich.console import Console
from rich.progress import track
from rich.table import Column, Table
from rich.text import Text

from scripts.matrix import emulated, installed, numpys
from scripts.matrix.alterations import PLANTS
from scripts.matrix.environment import Environment
from scripts.matrix.outcome import Outcome, expected, run

DIGEST_SHOWN = 12
"""Hex digits: enough to tell groups apart by eye."""

STYLES = {"equal": "green", "different": "bold red", "failed": "bold red", "did not run": "yellow"}


def chosen(words: list[str], *, quick: bool) -> list[Environment]:
    """Return the environments whose name or engine contains all of the words."""
    environments = list(installed.environments())
    if not quick:
        environments += [*numpys.environments(), *emulated.environments()]
    return [e for e in environments if all(word in f"{e.name} {e.engine}" for word in words)]


def run_all(environments: list[Environment], plant: str | None) -> list[Outcome]:
    """Run as many environments at a time as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = pool.map(lambda environment: run(environment, plant), environments)
        progress = Console(stderr=True)
        return list(track(outcomes, "running", len(environments), console=progress, transient=True))


def disagreements(outcomes: list[Outcome]) -> dict[str, int]:
    """Return the stages at which environments differ from each other, and in how many ways."""
    answers = [outcome.digests for outcome in outcomes if outcome.digests]
    ways = {stage: len({digests[stage] for digests in answers}) for stage in expected()}
    return {stage: count for stage, count in ways.items() if count > 1}


def table(outcomes: list[Outcome]) -> Table:
    """Return the table for people."""
    whole = [Column(name, no_wrap=True) for name in ("environment", "engine", "fuses", "digest")]
    columns = Table(*whole, "result", box=None)
    for outcome in outcomes:
        result = f"{outcome.result}, {outcome.detail}" if outcome.detail else outcome.result
        columns.add_row(
            outcome.environment,
            outcome.engine,
            outcome.facts.get("fuses", ""),
            outcome.digest[:DIGEST_SHOWN],
            Text(result, STYLES[outcome.result]),
        )
    return columns


def main() -> None:
    """Print the table, or JSON; exit 1 if any environment differs or fails, or if none ran."""
    parser = argparse.ArgumentParser(prog="python -m scripts.matrix", description=__doc__)
    parser.add_argument("words", nargs="*", help="only rows that contain all of these")
    parser.add_argument("--quick", action="store_true", help="only what needs no other packages")
    parser.add_argument("--plant", choices=PLANTS, help="plant an error that the matrix must see")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    outcomes = run_all(chosen(options.words, quick=options.quick), options.plant)
    counts = Counter(outcome.result for outcome in outcomes)
    between = disagreements(outcomes)
    if options.json:
        rows = [asdict(outcome) | {"digest": outcome.digest} for outcome in outcomes]
        print(json.dumps({"rows": rows, "counts": counts, "disagreements": between}, indent=1))
    else:
        console = Console()
        if options.plant:
            console.print(f"planted: {PLANTS[options.plant].does}", style="bold")
        console.print(table(outcomes))
        ran = len(outcomes) - counts["did not run"]
        console.print(
            f"{ran} ran: {counts['equal']} equal, {counts['different']} different, "
            f"{counts['failed']} failed; {counts['did not run']} DID NOT RUN"
        )
        ways = ", ".join(f"{stage} ({count} ways)" for stage, count in between.items())
        console.print(f"environments differ from each other at: {ways or 'no stage'}")
    sys.exit(bool(counts["different"] or counts["failed"] or not counts["equal"]))


if __name__ == "__main__":
    main()
