"""LMCache's `lm://` server, spoken to as its own connector does."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from scripts.bench_peers.child import child, free_port
from scripts.bench_peers.contender import Contender, Outcome, Payload, Running
from scripts.bench_peers.sockets import connect, receive_exactly, warm_memory

MAIN = """
import sys
sys.path.append(sys.argv.pop(1))  # behind the project's own packages: torch is one of them
from lmcache.v1.server.__main__ import main
main()
"""

READY = "Server started"
PUT, GET, EXISTS = 1, 2, 3
SUCCESS = 200
BINARY, BFLOAT16, NO_LOCATION = 4, 3, 0

REQUEST = struct.Struct("<9i150s")
"""Command, length, format, dtype, location, four sizes, key."""
ANSWER = struct.Struct("<9i")
"""Code, length, format, dtype, four sizes, location."""


class LMCacheSession:
    """A client of the server."""

    def __init__(self, address: str) -> None:
        self._socket = connect(int(address))

    def prepare(self, operation: str, payload: Payload) -> Callable[[], Outcome]:
        """Return a PUT or a GET."""
        if operation.endswith(" PUT"):
            return lambda: self._put(payload)
        memory = warm_memory(len(payload.fragment.body))
        return lambda: self._get(payload, memory)

    def forget(self, _payload: Payload) -> None:
        """Do nothing: it cannot delete. The next round replaces what is in the slot."""

    def _put(self, payload: Payload) -> Outcome:
        self._send(PUT, payload, len(payload.fragment.body))
        self._socket.sendall(payload.fragment.body)
        # A PUT is not answered; the next request on the connection is, when it has been stored.
        code, _ = self._ask(EXISTS, payload)
        return Outcome(lambda: code == SUCCESS)

    def _get(self, payload: Payload, memory: memoryview) -> Outcome:
        _, length = self._ask(GET, payload)
        body = memory[:length]
        receive_exactly(self._socket, body)
        return Outcome(lambda: body == payload.fragment.body)

    def _ask(self, command: int, payload: Payload) -> tuple[int, int]:
        self._send(command, payload, 0)
        answer = bytearray(ANSWER.size)
        receive_exactly(self._socket, answer)
        code, length, *_ = ANSWER.unpack(answer)
        return code, length

    def _send(self, command: int, payload: Payload, length: int) -> None:
        # model, world size, worker, hash of the chunk, dtype: what its keys are made of
        key = f"bench@1@0@{int.from_bytes(payload.slot.encode()):x}@bfloat16".encode()
        size = (length, 0, 0, 0)
        self._socket.sendall(
            REQUEST.pack(command, length, BINARY, BFLOAT16, NO_LOCATION, *size, key.ljust(150))
        )


@contextmanager
def lmcache_server(packages: Path, _folder: Path) -> Iterator[Running]:
    """Run the server, which keeps everything in memory."""
    port = free_port()
    command = [sys.executable, "-c", MAIN, packages, "127.0.0.1", str(port)]
    variables = {"LMCACHE_TRACK_USAGE": "false", "PYTHONUNBUFFERED": "1"}
    with child(command, READY, variables) as (pid, _):
        yield Running(str(port), pid)


def lmcache_contender(packages: Path) -> Contender:
    """Return LMCache's server."""
    return Contender(
        "LMCache lm://",
        ("LMCache PUT",),
        ("LMCache GET",),
        "nothing is hashed; a PUT is not answered, so the EXIST behind it is waited for",
        partial(lmcache_server, packages),
        LMCacheSession,
    )
