"""A loopback connection of the bare clients."""

from __future__ import annotations

import socket

from latentcrdt.core.encoding import Buffer


def connect(port: int) -> socket.socket:
    """Return a connection that sends at once."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def warm_memory(num_bytes: int) -> memoryview:
    """Return memory whose every page was written: as ready as a client's pool."""
    return memoryview(bytearray(b"\xff") * num_bytes)


def receive_exactly(connection: socket.socket, buffer: Buffer) -> None:
    """Fill a buffer, or raise ConnectionError if the other end stops before that."""
    rest = memoryview(buffer).cast("B")
    while rest:
        count = connection.recv_into(rest)
        if not count:
            raise ConnectionError(f"expected {len(rest)} more bytes, the connection was closed")
        rest = rest[count:]


def receive_line(connection: socket.socket) -> bytes:
    """Return what comes before the next CR LF; lines here have a few bytes."""
    line = bytearray()
    while not line.endswith(b"\r\n"):
        piece = connection.recv(1)
        if not piece:
            raise ConnectionError(f"expected a line, the connection was closed after {line!r}")
        line += piece
    return bytes(line[:-2])
