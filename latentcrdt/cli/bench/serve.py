"""Push, fetch and render through a real server, beside what they cannot be faster than."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from latentcrdt_server.child_process import ServerProcess

from latentcrdt.cli.bench.measure import Action, median_seconds, status_bytes
from latentcrdt.cli.bench.raw_wire import RawWire, raw_wire, receive_and_write
from latentcrdt.cli.bench.watch import ANONYMOUS, anonymous_memory, health, percentile
from latentcrdt.client import Client
from latentcrdt.core.fragment import Fragment
from latentcrdt.testing.fragments import make_fragment, make_geometry

WRITTEN, SENT, SENDFILE, KEPT, HASHED = (
    "socket, hash and durable write",
    "bare send",
    "bare sendfile",
    "sendfile into new memory",
    "sendfile into new memory, hashed",
)

BARE = {
    "fetch": SENDFILE,
    "render on the server": SENT,
    "the same, unverified": SENT,
    "render in the client": SENT,
}
"""The wire alone: from where the bytes lie, into memory that is used again and not looked at."""

SAME_WORK = {
    "push": WRITTEN,
    "fetch": HASHED,
    "render on the server": HASHED,
    "the same, unverified": KEPT,
    "render in the client": HASHED,
}
"""Which row does what each of ours does to the bytes; a render is made besides."""

FRESH_TIMES = 3
"""Of its bytes an action takes so much fresh memory at most: a file's pages, a result, more."""

HEALTH_ROUNDS = 5
"""Of each of ours, while ``/healthz`` is asked all the time: not the rounds that are timed."""


@dataclass(frozen=True, slots=True)
class Row:
    """One way to move the bytes."""

    what: str
    bytes_per_second: float
    part_of_bare: float | None
    part_of_same_work: float | None
    server_peak_bytes: int | None
    """Anonymous memory at most while it ran; None of a limit."""


@dataclass(frozen=True, slots=True)
class Served:
    """One size of fragment."""

    num_bytes: int
    rows: list[Row]
    server_idle_bytes: int
    health_p99_seconds: float
    """Of ``/healthz`` while the server pushed, fetched and rendered."""


def measure(num_bytes: int, runs: int) -> Served:
    """Return rates, parts of the limits, memory, and how soon the server answers meanwhile."""
    geometry = make_geometry(num_layers=28, num_kv_heads=8, head_dim=128)
    seq_len = max(1, num_bytes // (28 * 8 * 128 * 2 * 2))
    # A fragment that was pushed is known: every run, and the round before them, has its own.
    made = [
        make_fragment(i, geometry=geometry, start=7, seq_len=seq_len)
        for i in range(runs + 1 + HEALTH_ROUNDS)
    ]
    with tempfile.TemporaryDirectory() as name, raw_wire() as wire:
        folder = Path(name)
        with ServerProcess(folder / "data") as server, Client(server.url) as client:
            idle = status_bytes(server.pid, ANONYMOUS)
            actions = _actions(client, wire, made, folder)
            peaks: dict[str, int] = {}

            def watched(what: str) -> Callable[[], None]:
                def act() -> None:
                    with anonymous_memory(server.pid) as seen:
                        actions[what]()
                    peaks[what] = max(peaks.get(what, 0), *seen)

                return act

            seconds = median_seconds(actions, runs=runs, free_bytes=FRESH_TIMES * num_bytes)
            with health(server.url) as answers:
                for _ in range(HEALTH_ROUNDS):
                    for what in SAME_WORK:
                        watched(what)()
    size_of_one = len(made[0].body)

    def part(limit: str | None, taken: float) -> float | None:
        return None if limit is None else seconds[limit] / taken

    rows = [
        Row(
            what,
            size_of_one / taken,
            part(BARE.get(what), taken),
            part(SAME_WORK.get(what), taken),
            peaks.get(what),
        )
        for what, taken in seconds.items()
    ]
    return Served(size_of_one, rows, idle, percentile(answers, 0.99))


def _actions(
    client: Client, wire: RawWire, made: list[Fragment], folder: Path
) -> dict[str, Action]:
    """Return what is timed, in an order in which each finds what it needs."""
    waiting = iter(made)
    current = made[0]
    files = (folder / f"raw-{number}" for number in count())
    file = folder

    def push() -> None:
        nonlocal current
        current = next(waiting)
        client.push(_state(current), current)

    def write() -> None:
        # Into a name of its own that stays, as a push does: to write in the place of what was
        # removed a moment ago is to write into memory that is still warm.
        nonlocal file
        file = next(files)
        receive_and_write(wire, current.body, file)

    return {
        WRITTEN: write,
        "push": push,
        SENT: lambda: wire.move(current.body, len),
        SENDFILE: lambda: wire.move_file(file, len),
        KEPT: lambda: wire.fetch_file(file, hashes=False),
        HASHED: lambda: wire.fetch_file(file, hashes=True),
        "fetch": lambda: client.fetch(current.fragment_id),
        "render on the server": lambda: client.render(_state(current), where="server"),
        "the same, unverified": lambda: client.render(_state(current), verify=False),
        "render in the client": lambda: client.render(_state(current), where="client"),
    }


def _state(fragment: Fragment) -> str:
    return f"bench-{fragment.fragment_id.hex()[:8]}"
