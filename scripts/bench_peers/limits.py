"""What no store can beat here: a copy, and bare sockets with the same work behind them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from scripts.bench_peers.child import child
from scripts.bench_peers.contender import Contender, Outcome, Payload, Running, always_right
from scripts.bench_peers.raw_server import DONE, LENGTH, READY, REQUEST
from scripts.bench_peers.sockets import connect, receive_exactly, warm_memory

WRITE, WRITE_DURABLY, READ, DELETE = b"w", b"W", b"g", b"d"


class CopySession:
    """memcpy into memory that was touched before."""

    def __init__(self, _address: str) -> None:
        pass

    def prepare(self, _operation: str, payload: Payload) -> Callable[[], Outcome]:
        """Return the copy."""
        source = np.frombuffer(payload.fragment.body, np.uint8)
        target = np.ones_like(source)

        def copy() -> Outcome:
            np.copyto(target, source)
            return Outcome(lambda: bool(np.array_equal(target, source)))

        return copy

    def forget(self, _payload: Payload) -> None:
        """Do nothing."""


class RawSession:
    """A client of the raw server."""

    def __init__(self, address: str) -> None:
        self._socket = connect(int(address))

    def prepare(self, operation: str, payload: Payload) -> Callable[[], Outcome]:
        """Return a push or a fetch."""
        if operation == SENDFILE:
            memory = warm_memory(len(payload.fragment.body))
            return lambda: self._get(payload, memory)
        verb = WRITE_DURABLY if operation == PUT_DURABLY else WRITE
        return lambda: self._put(verb, payload)

    def forget(self, payload: Payload) -> None:
        """Delete the files."""
        for verb in (WRITE, WRITE_DURABLY):
            self._request(DELETE, _name(verb, payload))
            receive_exactly(self._socket, bytearray(len(DONE)))

    def _put(self, verb: bytes, payload: Payload) -> Outcome:
        self._request(verb, _name(verb, payload), len(payload.fragment.body))
        self._socket.sendall(payload.fragment.body)
        receive_exactly(self._socket, bytearray(len(DONE)))
        return Outcome(always_right)

    def _get(self, payload: Payload, memory: memoryview) -> Outcome:
        self._request(READ, _name(WRITE, payload))
        head = bytearray(LENGTH.size)
        receive_exactly(self._socket, head)
        body = memory[: LENGTH.unpack(head)[0]]
        receive_exactly(self._socket, body)
        return Outcome(lambda: body == payload.fragment.body)

    def _request(self, verb: bytes, name: str, length: int = 0) -> None:
        self._socket.sendall(REQUEST.pack(verb, name.encode(), length))


def _name(verb: bytes, payload: Payload) -> str:
    return f"{payload.key}-{'durable' if verb == WRITE_DURABLY else 'plain'}"


@contextmanager
def no_server(_folder: Path) -> Iterator[Running]:
    """Serve nothing."""
    yield Running("", None)


@contextmanager
def raw_server(folder: Path) -> Iterator[Running]:
    """Run the raw server."""
    command = [sys.executable, "-m", "scripts.bench_peers.raw_server", folder]
    with child(command, READY) as (pid, line):
        yield Running(line.removeprefix(READY).strip(), pid)


COPY, PUT, PUT_DURABLY, SENDFILE = (
    "memcpy",
    "raw socket, BLAKE3, write",
    "raw socket, BLAKE3, write, fdatasync",
    "raw sendfile",
)

LIMITS = (
    Contender(COPY, (COPY,), (), "-", no_server, CopySession),
    Contender(
        "raw server",
        (PUT, PUT_DURABLY),
        (SENDFILE,),
        "the receiver of a push hashes; fdatasync where it is named; a fetch is not hashed",
        raw_server,
        RawSession,
    ),
)
