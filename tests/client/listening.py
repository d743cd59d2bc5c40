"""A server whose every connection is treated by a function of the test."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress


@contextmanager
def listening(*serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that treats its connections as these functions do, each in a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def treat(how: Callable[[socket.socket], None], connection: socket.socket) -> None:
            with suppress(OSError), connection:
                how(connection)

        def accept() -> None:
            with suppress(OSError), ThreadPoolExecutor() as threads:
                for how in serve:
                    threads.submit(treat, how, listener.accept()[0])

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)  # wakes accept
            thread.join()


def read_head(connection: socket.socket) -> bytes:
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(65536)
    return head


def wait_for_the_end(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass
