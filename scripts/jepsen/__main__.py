"""Torment three servers for ten minutes, and judge what they acknowledged; exit 1 unless valid.

Leaves in a directory of its own: history.jsonl, one operation a line; verdict.json; history.png;
and the log of each server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from latentcrdt.testing.jepsen import namespace_network
from latentcrdt.testing.jepsen.nemesis import BEGUN, ENDS
from latentcrdt.testing.jepsen.operation import NEMESIS
from latentcrdt.testing.jepsen.recorder import Recorder
from latentcrdt.testing.jepsen.verdict import Verdict
from scripts.jepsen import disk
from scripts.jepsen.plot import plot
from scripts.jepsen.run import run
from scripts.jepsen.scenarios import BY_NAME, FULL_DISK, Scenario

PROGRESS_S = 1.0
"""Between two looks at what was recorded."""

SUMMARY_LINES = 10
"""Looks between two lines of counts."""


async def report(recorder: Recorder, console: Console) -> None:
    """Print what happens, as it happens, until cancelled."""
    counts: Counter[tuple[str, str]] = Counter()
    reported = looks = 0
    while True:
        await asyncio.sleep(PROGRESS_S)
        looks += 1
        new, reported = recorder.operations[reported:], len(recorder.operations)
        for op in new:
            counts[op.function, op.type] += 1
            if op.process == NEMESIS and op.value not in (BEGUN, ENDS):
                line = f"{op.time_ns / 1e9:7.1f} s  {op.function}: {op.value}"
                console.print(line, style="dim", soft_wrap=True, highlight=False)
        if looks % SUMMARY_LINES == 0 and new:
            console.print(
                f"{new[-1].time_ns / 1e9:7.1f} s  {counts['add', 'ok']} adds acknowledged, "
                f"{counts['add', 'info']} unknown; {counts['read', 'ok']} reads, "
                f"{counts['read', 'fail']} failed"
            )


async def torment_and_report(
    scenario: Scenario, directory: Path, seed: str, console: Console, *, are_peers: bool
) -> Verdict:
    """Run, with progress; leave the history and its picture."""
    with (directory / "history.jsonl").open("w", encoding="utf-8") as file:
        recorder = Recorder(file)
        reporting = asyncio.create_task(report(recorder, console))
        try:
            return await run(scenario, directory, recorder, seed, are_peers=are_peers)
        finally:
            reporting.cancel()
            plot(recorder.history(), directory / "history.png")


async def stoppable(running: Coroutine[Any, Any, Verdict]) -> Verdict:
    """Let SIGTERM do what Ctrl-C does: servers are ended, and their disks unmounted."""
    task = asyncio.ensure_future(running)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


def table(verdict: Verdict) -> Table:
    """Return the verdict for people."""
    rows = Table(Column(no_wrap=True), Column(overflow="fold"), box=None, show_header=False)
    for name, value in verdict.rows():
        rows.add_row(name, value)
    return rows


def main() -> None:
    """Run one scenario."""
    parser = argparse.ArgumentParser(prog="python -m scripts.jepsen", description=__doc__)
    parser.add_argument("--minutes", type=float, help="how long faults come")
    parser.add_argument("--scenario", choices=BY_NAME, default="everything")
    parser.add_argument("--namespaces", action="store_true", help="part the kernel's own network")
    parser.add_argument("--seed", default=secrets.token_hex(4), help="of faults and clients")
    parser.add_argument("--directory", type=Path, help="where to leave the files")
    parser.add_argument("--no-peers", action="store_true", help="a control that must fail")
    options = parser.parse_args()
    console = Console()
    scenario = BY_NAME[options.scenario]
    if options.minutes is not None:
        scenario = replace(scenario, duration_s=60 * options.minutes)
    directory = options.directory or Path(tempfile.mkdtemp(prefix="latentcrdt-jepsen-"))
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        parser.error(f"--directory: expected an empty one, or none yet: {directory}")
    console.print(f"{options.scenario}, seed {options.seed}, in {directory}")
    if options.namespaces:
        if unavailable := namespace_network.why_unavailable():
            parser.error(f"--namespaces: {unavailable}")
        scenario = scenario.in_namespaces()
    unavailable = disk.why_unavailable() if scenario.needs_disks else None
    if scenario.needs_disks and not unavailable:
        disk.unmount_abandoned()
    if unavailable:
        console.print(f"NOT RUN: {FULL_DISK}: {unavailable}", style="bold yellow")
        scenario = scenario.without_full_disks()
    running = torment_and_report(
        scenario, directory, options.seed, console, are_peers=not options.no_peers
    )
    verdict = asyncio.run(stoppable(running))
    document = {"scenario": options.scenario, "seed": options.seed, "not_run": unavailable}
    document |= {"namespaces": options.namespaces}
    document |= verdict.to_document()
    (directory / "verdict.json").write_text(json.dumps(document, indent=1) + "\n")
    console.print(table(verdict))
    console.print(f"history, verdict and logs: {directory}")
    sys.exit(verdict.validity != "valid")


if __name__ == "__main__":
    main()
