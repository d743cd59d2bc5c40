"""A link of a given rate: carries connections to a server and lets no more through than that."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

PIECE_BYTES = 64 * 1024


@contextmanager
def slow_link(url: str, bytes_per_s: float) -> Iterator[str]:
    """Yield the address at which ``url`` is reached through a link, which is a process."""
    target = urlsplit(url)
    command = [sys.executable, "-m", __name__, str(target.hostname), str(target.port)]
    with subprocess.Popen([*command, str(bytes_per_s)], stdout=subprocess.PIPE, text=True) as link:
        assert link.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(link.stdout.readline())}"
        finally:
            link.terminate()


def main(host: str, port: int, bytes_per_s: float) -> None:
    """Carry connections until killed; the first line printed is the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            near, _ = listener.accept()
            far = socket.create_connection((host, port))
            for ends in ((near, far), (far, near)):
                threading.Thread(target=_carry, args=(*ends, bytes_per_s), daemon=True).start()


def _carry(source: socket.socket, sink: socket.socket, bytes_per_s: float) -> None:
    due = 0.0
    with suppress(OSError):
        while data := source.recv(PIECE_BYTES):
            now = time.perf_counter()
            due = max(due, now) + len(data) / bytes_per_s
            time.sleep(max(due - now, 0))
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
