"""Client processes, which all begin an operation at the same moment and time themselves."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

from scripts.bench_peers.contender import Contender, Payload, Session
from scripts.bench_peers.fragments import fresh_fragment

STOP_TIMEOUT_S = 30.0
"""For all clients to close their connections; after an error nobody waits for them."""

MAX_PAYLOADS = 64
"""Of one client in one round; numbers the seeds."""


@dataclass(frozen=True, slots=True)
class Took:
    """One operation on all payloads of a client."""

    began: float
    ended: float
    """On ``time.perf_counter``, which is one clock for all processes of a machine."""
    first_layers: tuple[float, ...]
    """Seconds from the start of each render to its first layer."""


class WrongAnswerError(Exception):
    """Raised when what came back is not what was put: its speed means nothing."""


class _Worker:
    """What a client process does."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._sessions: dict[str, Session] = {}
        self._payloads: list[Payload] = []
        self._actions: list[Callable[[], Any]] = []
        self._operation = ""

    def connect(self, contenders: Sequence[tuple[str, Callable[[str], Session], str]]) -> None:
        self._sessions = {name: connect(address) for name, connect, address in contenders}

    def make(self, round_number: int, num_bytes: int, count: int) -> int:
        """Make new payloads and let go of the old ones; return the bytes of all."""
        assert count <= MAX_PAYLOADS
        self._payloads = []
        for i in range(count):
            seed = (round_number * 64 + self._number) * MAX_PAYLOADS + i
            slot = f"{self._number}-{i}"
            fragment = fresh_fragment(seed, num_bytes)
            self._payloads.append(Payload(f"bench-{round_number}-{slot}", slot, fragment))
        return sum(len(payload.fragment.body) for payload in self._payloads)

    def prepare(self, contender: str, operation: str) -> None:
        session = self._sessions[contender]
        self._operation = operation
        self._actions = [session.prepare(operation, payload) for payload in self._payloads]

    def run(self) -> Took:
        """Do what was prepared, and nothing else."""
        actions, self._actions = self._actions, []
        starts, first_layers = [], []
        began = time.perf_counter()
        for action in actions:
            starts.append(time.perf_counter())
            first_layers.append(action().first_layer_at)
        ended = time.perf_counter()
        firsts = zip(starts, first_layers, strict=True)
        return Took(began, ended, tuple(at - start for start, at in firsts if at is not None))

    def check(self) -> Took:
        """Do what was prepared, and look at every outcome."""
        began = time.perf_counter()
        for action in self._actions:
            if not action().is_right():
                raise WrongAnswerError(f"{self._operation}: what came back is not what was put")
        self._actions = []
        return Took(began, time.perf_counter(), ())

    def forget(self, contender: str) -> None:
        for payload in self._payloads:
            self._sessions[contender].forget(payload)

    def disconnect(self) -> None:
        self._sessions = {}


def _serve(connection: Connection, number: int) -> None:
    worker = _Worker(number)
    while (command := connection.recv()) is not None:
        name, arguments = command
        try:
            answer = getattr(worker, name)(*arguments)
        except Exception as error:  # noqa: BLE001  # raised again where the command came from
            answer = RuntimeError(f"client {number}, {name}: {type(error).__name__}: {error}")
        connection.send(answer)


class Clients:
    """So many client processes, until the block is left."""

    def __init__(self, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._processes = []
        self._connections: list[Connection] = []
        for number in range(count):
            ours, theirs = context.Pipe()
            # Not daemons: these may have children of their own.
            process = context.Process(target=_serve, args=(theirs, number))
            process.start()
            theirs.close()
            self._processes.append(process)
            self._connections.append(ours)

    def tell(self, count: int, command: str, *arguments: object) -> list[Any]:
        """Give the first ``count`` clients a command at once; return their answers."""
        chosen = self._connections[:count]
        for connection in chosen:
            connection.send((command, arguments))
        answers = [connection.recv() for connection in chosen]
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    def connect(self, count: int, contenders: Sequence[Contender], addresses: list[str]) -> None:
        """Open a session with every contender."""
        told = [(c.name, c.connect, a) for c, a in zip(contenders, addresses, strict=True)]
        self.tell(count, "connect", told)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        deadline = time.monotonic() + (STOP_TIMEOUT_S if error is None else 0)
        if error is None:
            for connection in self._connections:
                connection.send(None)
        for process in self._processes:
            process.join(max(0.0, deadline - time.monotonic()))
            process.kill()
            process.join()
