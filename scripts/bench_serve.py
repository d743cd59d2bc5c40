"""Time push, fetch and render through a real server beside the limits of this machine.

The limit of a push is hashing and a durable write of the same bytes; of a fetch, a bare socket that
sends them. Medians of several runs, alternating, with the server's peak memory.

Usage: bench_serve.py [--megabytes N] [--runs N] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from latentcrdt_server.child_process import ServerProcess
from rich.console import Console
from rich.table import Table

from latentcrdt import Client
from latentcrdt.core.encoding import Hasher
from latentcrdt.core.fragment import Fragment
from latentcrdt.testing.fragments import make_fragment, make_geometry

PIECE = 1 << 20


def hash_and_write(fragment: Fragment, folder: Path) -> None:
    """Hash the bytes and write them durably: what no push can do without."""
    hasher = Hasher()
    with (folder / "raw").open("wb", buffering=0) as file:
        for start in range(0, len(fragment.body), PIECE):
            piece = fragment.body[start : start + PIECE]
            hasher.update(piece)
            file.write(piece)
        os.fdatasync(file.fileno())
    (folder / "raw").unlink()


def send_over_socket(data: memoryview) -> None:
    """Move the bytes through a loopback connection, as fast as a thread can."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as connection:
                connection.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        buffer = bytearray(PIECE)
        with socket.create_connection(server.getsockname()) as client:
            while client.recv_into(buffer):
                pass
        thread.join()


def peak_anonymous_bytes(pid: int) -> int:
    """Return the anonymous memory of a process now: mapped fragments do not count."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if "RssAnon" in line) << 10


def actions(
    client: Client, state: str, fragment: Fragment, folder: Path
) -> dict[str, Callable[[], object]]:
    """Return what is timed, in an order in which each finds what it needs."""
    return {
        "hash and durable write": lambda: hash_and_write(fragment, folder),
        "push": lambda: client.push(state, fragment),
        "bare socket": lambda: send_over_socket(fragment.body),
        "fetch": lambda: client.fetch(fragment.fragment_id),
        "render on the server": lambda: client.render(state, verify=False),
        "render in the client": lambda: client.render(state, where="client"),
    }


def main() -> None:
    """Run the rows in turn, several times, and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    geometry = make_geometry(num_layers=28, num_kv_heads=8, head_dim=128)
    seq_len = max(1, options.megabytes * 10**6 // (28 * 8 * 128 * 2 * 2))
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with ServerProcess(folder / "data") as server, Client(server.url) as client:
            memory = [peak_anonymous_bytes(server.pid)]
            for run in range(options.runs):
                fragment = make_fragment(run, geometry=geometry, start=7, seq_len=seq_len)
                state = f"bench-{run}"
                rows = actions(client, state, fragment, folder)
                for what, action in rows.items():
                    start = time.perf_counter()
                    action()
                    times.setdefault(what, []).append(time.perf_counter() - start)
                    memory.append(peak_anonymous_bytes(server.pid))
    size = len(fragment.body)
    results = {
        "megabytes": size / 1e6,
        "gigabytes_per_second": {
            what: size / statistics.median(seconds) / 1e9 for what, seconds in times.items()
        },
        "server_anonymous_megabytes": {"idle": memory[0] / 1e6, "most": max(memory) / 1e6},
    }
    if options.json:
        print(json.dumps(results, indent=1))
        return
    table = Table("what", "GB/s", title=f"{size / 1e6:.0f} MB, medians of {options.runs}")
    for what, rate in results["gigabytes_per_second"].items():
        table.add_row(what, f"{rate:.2f}")
    console = Console()
    console.print(table)
    idle, most = results["server_anonymous_megabytes"].values()
    console.print(f"server's anonymous memory: {idle:.0f} MB idle, {most:.0f} MB after any call")


if __name__ == "__main__":
    main()
