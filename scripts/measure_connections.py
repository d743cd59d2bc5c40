"""Measure what it brings to fetch a fragment over several connections.

One fragment on a real server, fetched into memory and verified, by turns over 1, 2, 4 and 8
connections: through links that let so much through per connection, and without any.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from latentcrdt_server.child_process import ServerProcess

from latentcrdt.cli.bench.measure import touch_free_memory
from latentcrdt.cli.output import console
from latentcrdt.client import Client
from latentcrdt.core.ids import FragmentId
from latentcrdt.testing.fragments import make_fragment, make_geometry
from scripts.machine_facts import facts_line
from scripts.marked_section import markdown, replace_section
from scripts.slow_link import slow_link

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
SECTION = "connections"
STATE = "connections"
LINKS_MBIT = (200, 1_000, 4_000, None)
"""Rates of one connection; None: straight to the server."""
CONNECTIONS = (1, 2, 4, 8)


@dataclass(frozen=True, slots=True)
class Row:
    """One link; median seconds of a fetch by the number of connections."""

    megabits: int | None
    num_bytes: int
    seconds: dict[int, float]


def measure(megabytes: int, runs: int) -> list[Row]:
    """Return one row a link."""
    geometry = make_geometry(num_layers=28, num_kv_heads=8, head_dim=128)
    token_bytes = 28 * 8 * 128 * 2 * 2
    fragment = make_fragment(1, geometry=geometry, seq_len=megabytes * 10**6 // token_bytes)
    rows = []
    with tempfile.TemporaryDirectory() as name, ServerProcess(Path(name) / "data") as server:
        with Client(server.url) as client:
            client.push(STATE, fragment)
        for megabits in LINKS_MBIT:
            link: AbstractContextManager[str] = (
                nullcontext(server.url)
                if megabits is None
                else slow_link(server.url, megabits * 125_000)
            )
            with link as url:
                seconds = _measure_link(url, fragment.fragment_id, fragment.num_bytes, runs)
            rows.append(Row(megabits, fragment.num_bytes, seconds))
    return rows


def _measure_link(url: str, fragment_id: FragmentId, num_bytes: int, runs: int) -> dict[int, float]:
    clients = {number: Client(url, connections=number) for number in CONNECTIONS}
    taken: dict[int, list[float]] = {number: [] for number in CONNECTIONS}
    for run in range(runs + 1):
        for number, client in clients.items():
            touch_free_memory(2 * num_bytes)
            began = time.perf_counter()
            client.fetch(fragment_id)
            if run:  # the first opened the connections
                taken[number].append(time.perf_counter() - began)
    for client in clients.values():
        client.close()
    return {number: median(times) for number, times in taken.items()}


def table(rows: list[Row]) -> str:
    """Return the rows as a table of milliseconds and of what one connection takes times."""
    headers = ["per connection", *(f"{number} connections" for number in CONNECTIONS)]
    headers[1] = "1 connection"
    lines = []
    for row in rows:
        link = "not bounded" if row.megabits is None else f"{row.megabits / 1000:g} Gbit/s"
        one = row.seconds[1]
        cells = [f"{s * 1e3:.0f} ms ({one / s:.2f})" for s in row.seconds.values()]
        lines.append([link, *cells])
    return markdown(headers, lines)


def main() -> None:
    """Measure, print, and renew the page if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--megabytes", type=int, default=128, help="of the fragment")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write-docs", action="store_true")
    arguments = parser.parse_args()
    rows = measure(arguments.megabytes, arguments.runs)
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows]))
    else:
        console().print(table(rows))
    if arguments.write_docs:
        text = (
            f"Measured: {facts_line()}; a fragment of {arguments.megabytes} MB, medians of "
            f"{arguments.runs} runs; in brackets how many times as fast as one connection.\n\n"
            f"{table(rows)}"
        )
        replace_section(PAGE, SECTION, text)


if __name__ == "__main__":
    main()
