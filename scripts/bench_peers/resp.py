"""Redis and Valkey: SET and GET through a bare socket, their best case, and through redis-py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from scripts.bench_peers.child import child, free_port
from scripts.bench_peers.contender import Contender, Outcome, Payload, Running, always_right
from scripts.bench_peers.sockets import connect, receive_exactly, receive_line, warm_memory

END = b"\r\n"

READY = "eady to accept connections"

IN_MEMORY = ("--save", "", "--appendonly", "no")
FSYNCED = (
    *("--save", "", "--appendonly", "yes", "--appendfsync", "always"),
    *("--auto-aof-rewrite-percentage", "0"),
)
"""An acknowledgement then means what ours does; its log is not written anew meanwhile."""

NOT_HASHED = "nothing is hashed; an acknowledgement means in the server's memory"


class BareSession:
    """RESP, spoken without a library: nothing is copied in this process."""

    def __init__(self, address: str) -> None:
        self._socket = connect(int(address))

    def prepare(self, operation: str, payload: Payload) -> Callable[[], Outcome]:
        """Return a SET or a GET."""
        if operation.endswith(" SET"):
            return lambda: self._set(payload)
        memory = warm_memory(len(payload.fragment.body) + len(END))
        return lambda: self._get(payload, memory)

    def forget(self, payload: Payload) -> None:
        """Delete the key."""
        self._send(b"DEL", payload.key.encode())
        receive_line(self._socket)

    def _set(self, payload: Payload) -> Outcome:
        body = payload.fragment.body
        self._send(b"SET", payload.key.encode(), num_values=1)
        self._socket.sendall(b"$%d\r\n" % len(body))
        self._socket.sendall(body)
        self._socket.sendall(END)
        answer = receive_line(self._socket)
        return Outcome(lambda: answer == b"+OK")

    def _get(self, payload: Payload, memory: memoryview) -> Outcome:
        self._send(b"GET", payload.key.encode())
        length = int(receive_line(self._socket).removeprefix(b"$"))
        if length < 0:
            return Outcome(lambda: False)  # there is no such key
        answer = memory[: length + len(END)]
        receive_exactly(self._socket, answer)
        return Outcome(lambda: answer[: -len(END)] == payload.fragment.body)

    def _send(self, *words: bytes, num_values: int = 0) -> None:
        parts = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        self._socket.sendall(b"*%d\r\n%s" % (len(words) + num_values, parts))


class RedisPySession:
    """redis-py, with hiredis."""

    def __init__(self, address: str) -> None:
        import redis  # type: ignore[import-not-found]  # noqa: PLC0415  # a peer's wheel

        self._redis = redis.Redis(port=int(address))

    def prepare(self, operation: str, payload: Payload) -> Callable[[], Outcome]:
        """Return a SET or a GET; redis-py takes bytes, and these are made before the clock runs."""
        if operation.endswith(" GET"):
            return lambda: self._get(payload)
        body = bytes(payload.fragment.body)

        def put() -> Outcome:
            self._redis.set(payload.key, body)
            return Outcome(always_right)

        return put

    def forget(self, payload: Payload) -> None:
        """Delete the key."""
        self._redis.delete(payload.key)

    def _get(self, payload: Payload) -> Outcome:
        body = self._redis.get(payload.key)
        return Outcome(lambda: bool(body == payload.fragment.body))


@contextmanager
def resp_server(program: Path, options: tuple[str, ...], folder: Path) -> Iterator[Running]:
    """Run a server without the limits that are set for small values."""
    port = free_port()
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, *options]
    with child(command, READY) as (pid, _):
        yield Running(str(port), pid)


def redis_contender(program: Path) -> Contender:
    """Return Redis, spoken to without a library."""
    serve = partial(resp_server, program, IN_MEMORY)
    return Contender("Redis", ("Redis SET",), ("Redis GET",), NOT_HASHED, serve, BareSession)


def redis_py_contender(program: Path) -> Contender:
    """Return Redis as it is used."""
    return Contender(
        "Redis, redis-py",
        ("redis-py SET",),
        ("redis-py GET",),
        NOT_HASHED,
        partial(resp_server, program, IN_MEMORY),
        RedisPySession,
    )


def valkey_contenders(program: Path) -> list[Contender]:
    """Return Valkey, in memory and with every command fsynced."""
    return [
        Contender(
            "Valkey",
            ("Valkey SET",),
            ("Valkey GET",),
            NOT_HASHED,
            partial(resp_server, program, IN_MEMORY),
            BareSession,
        ),
        Contender(
            "Valkey, appendfsync always",
            ("Valkey fsynced SET",),
            (),
            "nothing is hashed; an acknowledgement means fsynced",
            partial(resp_server, program, FSYNCED),
            BareSession,
        ),
    ]
