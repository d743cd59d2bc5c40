"""Push, fetch and render through a real server, beside what they cannot be faster than."""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from latentcrdt_server.child_process import ServerProcess

from latentcrdt.cli.bench.measure import median_seconds, status_bytes
from latentcrdt.client import Client
from latentcrdt.core.encoding import Hasher
from latentcrdt.core.fragment import Fragment
from latentcrdt.testing.fragments import make_fragment, make_geometry

PIECE_BYTES = 1 << 20
"""What the bare rows receive, hash and write at a time, at most."""

LIMITS = {
    "push": "socket, hash and durable write",
    "fetch": "socket and hash",
    "render on the server": "bare socket",
    "render in the client": "socket and hash",
}
"""Which row each of ours is held against."""


def measure(num_bytes: int, runs: int) -> dict[str, Any]:
    """Return the document of one benchmark: rates, parts of the limits, memory."""
    geometry = make_geometry(num_layers=28, num_kv_heads=8, head_dim=128)
    seq_len = max(1, num_bytes // (28 * 8 * 128 * 2 * 2))
    # A fragment that was pushed is known: every run, and the round before them, has its own.
    made = [make_fragment(i, geometry=geometry, start=7, seq_len=seq_len) for i in range(runs + 1)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with ServerProcess(folder / "data") as server, Client(server.url) as client:
            memory = [status_bytes(server.pid, "RssAnon")]
            seconds = median_seconds(_actions(client, made, folder), runs=runs)
            memory.append(status_bytes(server.pid, "RssAnon"))
    size_of_one = len(made[0].body)
    rows = []
    for what, taken in seconds.items():
        limit = LIMITS.get(what)
        part = None if limit is None else seconds[limit] / taken
        rows.append({"what": what, "bytes_per_second": size_of_one / taken, "part_of_limit": part})
    return {"num_bytes": size_of_one, "rows": rows, "server_anonymous_bytes": memory}


def _actions(client: Client, made: list[Fragment], folder: Path) -> dict[str, Callable[[], object]]:
    """Return what is timed, in an order in which each finds what it needs."""
    waiting = iter(made)
    current = made[0]

    def push() -> None:
        nonlocal current
        current = next(waiting)
        client.push(_state(current), current)

    return {
        "socket, hash and durable write": lambda: _hash_and_write(current, folder),
        "push": push,
        "bare socket": lambda: _send_over_socket(current.body, len),
        "socket and hash": lambda: _send_over_socket(current.body, Hasher().update),
        "fetch": lambda: client.fetch(current.fragment_id),
        "render on the server": lambda: client.render(_state(current), verify=False),
        "render in the client": lambda: client.render(_state(current), where="client"),
    }


def _state(fragment: Fragment) -> str:
    return f"bench-{fragment.fragment_id.hex()[:8]}"


def _hash_and_write(fragment: Fragment, folder: Path) -> None:
    """Receive the bytes, hash them and write them durably: what no push can do without."""
    hasher = Hasher()
    with (folder / "raw").open("wb", buffering=0) as file:

        def take(piece: memoryview) -> None:
            hasher.update(piece)
            file.write(piece)

        _send_over_socket(fragment.body, take)
        os.fdatasync(file.fileno())
    (folder / "raw").unlink()


def _send_over_socket(data: memoryview, take: Callable[[memoryview], object]) -> None:
    """Move the bytes through a loopback connection, as fast as a thread can take them."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with server.accept()[0] as connection:
                connection.sendall(data)

        thread = threading.Thread(target=serve)
        thread.start()
        buffer = memoryview(bytearray(PIECE_BYTES))
        with socket.create_connection(server.getsockname()) as client:
            while num_bytes := client.recv_into(buffer):
                take(buffer[:num_bytes])
        thread.join()
