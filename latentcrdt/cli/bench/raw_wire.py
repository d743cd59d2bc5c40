"""What `bench serve` cannot be faster than: a loopback connection with nothing around it."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from latentcrdt.client.result_memory import result_memory
from latentcrdt.core.encoding import Hasher

PIECE_BYTES = 1 << 20
"""Received, hashed and written at a time, at most."""

Take = Callable[[memoryview], object]


class RawWire:
    """A connection that stands, as a client's does; a thread sends, the caller's receives."""

    def __init__(self, sender: socket.socket, receiver: socket.socket) -> None:
        self._sender = sender
        self._receiver = receiver
        self._ring = memoryview(bytearray(PIECE_BYTES))

    def move(self, data: memoryview, take: Take) -> None:
        """Send from memory; every piece is taken from one that is used again and again."""
        self._run(lambda: self._sender.sendall(data), len(data), take)

    def move_file(self, path: Path, take: Take) -> None:
        """Send a file by sendfile; as ``move``."""
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            self._run(lambda: self._sender.sendfile(file), size, take)

    def fetch_file(self, path: Path, *, hashes: bool) -> None:
        """Send a file into new memory, as whoever keeps what comes must; hash it there or not."""
        hasher = Hasher()
        with path.open("rb", buffering=0) as file:
            memory = result_memory(os.fstat(file.fileno()).st_size)
            with self._sending(lambda: self._sender.sendfile(file)):
                done = 0
                while done < len(memory):
                    count = self._receiver.recv_into(memory[done : done + PIECE_BYTES])
                    if hashes:
                        hasher.update(memory[done : done + count])
                    done += count

    def _run(self, send: Callable[[], object], left: int, take: Take) -> None:
        with self._sending(send):
            while left:
                count = self._receiver.recv_into(self._ring[: min(left, PIECE_BYTES)])
                take(self._ring[:count])
                left -= count

    @contextmanager
    def _sending(self, send: Callable[[], object]) -> Iterator[None]:
        thread = threading.Thread(target=send)
        thread.start()
        try:
            yield
        finally:
            thread.join()


@contextmanager
def raw_wire() -> Iterator[RawWire]:
    """Open a connection to this process itself."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        socket.create_connection(listening.getsockname()) as sender,
        listening.accept()[0] as receiver,
    ):
        yield RawWire(sender, receiver)


def receive_and_write(wire: RawWire, data: memoryview, path: Path) -> None:
    """Receive bytes, hash them and write them durably: what no push can do without."""
    hasher = Hasher()
    with path.open("wb", buffering=0) as file:

        def take(piece: memoryview) -> None:
            hasher.update(piece)
            file.write(piece)

        wire.move(data, take)
        os.fdatasync(file.fileno())
