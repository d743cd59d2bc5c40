"""Push, fetch and render through a real server, beside what they cannot be faster than."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from latentcrdt_server.child_process import ServerProcess

from latentcrdt.cli.bench.measure import median_seconds, status_bytes
from latentcrdt.cli.bench.raw_wire import RawWire, raw_wire, receive_and_write
from latentcrdt.client import Client
from latentcrdt.core.fragment import Fragment
from latentcrdt.testing.fragments import make_fragment, make_geometry

BARE = "bare sendfile"
WRITTEN, KEPT, HASHED = (
    "socket, hash and durable write",
    "sendfile into new memory",
    "sendfile into new memory, hashed",
)

SAME_WORK = {
    "push": WRITTEN,
    "fetch": HASHED,
    "render on the server": HASHED,
    "the same, unverified": KEPT,
    "render in the client": HASHED,
}
"""Which row does what each of ours does to the bytes; a render is made besides."""


def measure(num_bytes: int, runs: int) -> dict[str, Any]:
    """Return the document of one benchmark: rates, parts of the limits, memory."""
    geometry = make_geometry(num_layers=28, num_kv_heads=8, head_dim=128)
    seq_len = max(1, num_bytes // (28 * 8 * 128 * 2 * 2))
    # A fragment that was pushed is known: every run, and the round before them, has its own.
    made = [make_fragment(i, geometry=geometry, start=7, seq_len=seq_len) for i in range(runs + 1)]
    with tempfile.TemporaryDirectory() as name, raw_wire() as wire:
        folder = Path(name)
        with ServerProcess(folder / "data") as server, Client(server.url) as client:
            memory = [status_bytes(server.pid, "RssAnon")]
            seconds = median_seconds(_actions(client, wire, made, folder), runs=runs)
            memory.append(status_bytes(server.pid, "RssAnon"))
    size_of_one = len(made[0].body)
    rows = [
        {
            "what": what,
            "bytes_per_second": size_of_one / taken,
            "part_of_bare": seconds[BARE] / taken,
            "part_of_same_work": seconds[SAME_WORK[what]] / taken if what in SAME_WORK else None,
        }
        for what, taken in seconds.items()
    ]
    return {"num_bytes": size_of_one, "rows": rows, "server_anonymous_bytes": memory}


def _actions(
    client: Client, wire: RawWire, made: list[Fragment], folder: Path
) -> dict[str, Callable[[], object]]:
    """Return what is timed, in an order in which each finds what it needs."""
    waiting = iter(made)
    current = made[0]

    def push() -> None:
        nonlocal current
        current = next(waiting)
        client.push(_state(current), current)

    def write() -> None:
        # As a push does, into a name that was not there.
        file.unlink(missing_ok=True)
        receive_and_write(wire, current.body, file)

    file = folder / "raw"
    return {
        WRITTEN: write,
        "push": push,
        BARE: lambda: wire.move_file(file, len),
        KEPT: lambda: wire.fetch_file(file, hashes=False),
        HASHED: lambda: wire.fetch_file(file, hashes=True),
        "fetch": lambda: client.fetch(current.fragment_id),
        "render on the server": lambda: client.render(_state(current), where="server"),
        "the same, unverified": lambda: client.render(_state(current), verify=False),
        "render in the client": lambda: client.render(_state(current), where="client"),
    }


def _state(fragment: Fragment) -> str:
    return f"bench-{fragment.fragment_id.hex()[:8]}"
