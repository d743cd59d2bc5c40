"""One cell: every operation in turn, so that a machine that slows down slows all of them."""

from __future__ import annotations

import shutil
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentcrdt.cli.bench.measure import touch_free_memory
from latentcrdt.cli.bench.serve import FRESH_TIMES
from latentcrdt.cli.bench.watch import anonymous_memory, health, percentile
from scripts.bench_peers.clients import Clients, Took
from scripts.bench_peers.contender import Contender, Running
from scripts.bench_peers.ours import OURS, PUSH

BATCH_BYTES = 16_000_000
"""What a client moves in one go at least: a single megabyte is over before a clock has seen it."""

HEALTH_PART = 0.99


@dataclass(frozen=True, slots=True)
class Cell:
    """A size and a number of clients."""

    megabytes: int
    num_clients: int


@dataclass(frozen=True, slots=True)
class Row:
    """What one operation did in one cell."""

    cell: Cell
    operation: str
    is_put: bool
    num_bytes: int
    """Of one payload: whole tokens, so a little less than the cell says."""
    bytes_per_second: float
    """The median of the counted rounds; of all clients together."""
    slowest: float
    fastest: float
    """Bytes a second of the slowest and of the fastest round."""
    peak_anonymous_bytes: int | None
    """The most that the server's process was seen to hold; None without a server."""
    first_layer_seconds: float | None
    """Median from the start of a render to its first layer; None where all come together."""


@dataclass(frozen=True, slots=True)
class Health:
    """How soon our server answered while it took pushes."""

    cell: Cell
    num_answers: int
    p99_seconds: float
    worst_seconds: float


def measure(
    cell: Cell, clients: Clients, contenders: Sequence[Contender], *, runs: int, scratch: Path
) -> tuple[list[Row], Health]:
    """Return the rows of a cell. Servers are new in each, and so are their files."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(dir=scratch))
        stack.callback(shutil.rmtree, folder)
        servers: list[Running] = []
        for number, contender in enumerate(contenders):
            files = folder / str(number)
            files.mkdir()
            servers.append(stack.enter_context(contender.serve(files)))
        clients.connect(cell.num_clients, contenders, [server.address for server in servers])
        stack.callback(clients.tell, cell.num_clients, "disconnect")
        rounds = _Rounds(cell, clients, list(zip(contenders, servers, strict=True)))
        rounds.play(0, "check")  # caches, connections, compiled code; and whether answers are right
        for number in range(1, runs + 1):
            rounds.play(number, "run")
        address = servers[contenders.index(OURS)].address
        return rounds.rows(), rounds.health(address, first=runs + 1, runs=runs)


class _Rounds:
    def __init__(
        self, cell: Cell, clients: Clients, contenders: list[tuple[Contender, Running]]
    ) -> None:
        self._cell = cell
        self._clients = clients
        self._contenders = contenders
        self._count = max(1, BATCH_BYTES // (cell.megabytes * 10**6))
        self._payload_bytes = 0
        self._is_put: dict[str, bool] = {}
        self._rates: dict[str, list[float]] = defaultdict(list)
        self._peaks: dict[str, list[int]] = defaultdict(list)
        self._first_layers: dict[str, list[float]] = defaultdict(list)

    def play(self, number: int, verb: str) -> None:
        """Let every operation have its turn on payloads that nobody has seen."""
        num_bytes = self._make(number)
        for contender, server in self._contenders:
            for operation in (*contender.puts, *contender.gets):
                self._tell("prepare", contender.name, operation)
                touch_free_memory(FRESH_TIMES * num_bytes)
                with anonymous_memory(server.pid) as memory:
                    took: list[Took] = self._tell(verb)
                self._is_put[operation] = operation in contender.puts
                self._peaks[operation] += memory
                if verb == "run":
                    seconds = max(t.ended for t in took) - min(t.began for t in took)
                    self._rates[operation].append(num_bytes / seconds)
                    for one in took:
                        self._first_layers[operation] += one.first_layers
            # Before the next one's turn: the memory of all servers together would not suffice.
            self._tell("forget", contender.name)

    def health(self, address: str, *, first: int, runs: int) -> Health:
        """Push in rounds of their own: who asks all the time slows what he asks about."""
        seen: list[float] = []
        for number in range(first, first + runs):
            self._make(number)
            self._tell("prepare", OURS.name, PUSH)
            with health(address) as answers:
                self._tell("run")
            seen += answers
            self._tell("forget", OURS.name)
        return Health(self._cell, len(seen), percentile(seen, HEALTH_PART), max(seen))

    def rows(self) -> list[Row]:
        """Return what the counted rounds have shown, puts first."""
        return [
            Row(
                self._cell,
                operation,
                is_put,
                self._payload_bytes,
                statistics.median(self._rates[operation]),
                min(self._rates[operation]),
                max(self._rates[operation]),
                max(self._peaks[operation], default=None),
                statistics.median(firsts) if (firsts := self._first_layers[operation]) else None,
            )
            for operation, is_put in sorted(self._is_put.items(), key=lambda item: not item[1])
        ]

    def _make(self, number: int) -> int:
        """Have new payloads made; return the bytes of all."""
        num_bytes = self._cell.megabytes * 10**6
        made: int = sum(self._tell("make", number, num_bytes, self._count))
        self._payload_bytes = made // (self._cell.num_clients * self._count)
        return made

    def _tell(self, command: str, *arguments: object) -> list[Any]:
        return self._clients.tell(self._cell.num_clients, command, *arguments)
