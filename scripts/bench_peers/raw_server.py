"""The least that a server of durable, verified bytes can do: threads, sockets and files.

``python -m scripts.bench_peers.raw_server FOLDER`` prints its port. A request is a verb, a key of
64 characters and a length; `w` and `W` (with fdatasync) are followed by the bytes and answered by
one byte, `g` is answered by the length and the bytes, `d` by one byte.
"""

from __future__ import annotations

import os
import socketserver
import struct
import sys
from pathlib import Path
from typing import cast

from latentcrdt.core.encoding import Hasher

REQUEST = struct.Struct("<c64sQ")
LENGTH = struct.Struct("<Q")
DONE = b"\x01"
READY = "listening on "

PIECE_BYTES = 1 << 20
"""Received, hashed and written at a time: the fastest of those tried."""


class Connection(socketserver.StreamRequestHandler):
    """One client."""

    def handle(self) -> None:
        """Answer until the client goes away."""
        buffer = memoryview(bytearray(PIECE_BYTES))
        while head := self.rfile.read(REQUEST.size):
            verb, key, length = REQUEST.unpack(head)
            path = cast("RawServer", self.server).folder / key.rstrip(b"\x00").decode()
            if verb == b"g":
                with path.open("rb", buffering=0) as file:
                    self.request.sendall(LENGTH.pack(os.fstat(file.fileno()).st_size))
                    self.request.sendfile(file)
                continue
            if verb == b"d":
                path.unlink()
            else:
                self._receive(path, length, buffer, is_durable=verb == b"W")
            self.request.sendall(DONE)

    def _receive(self, path: Path, length: int, buffer: memoryview, *, is_durable: bool) -> None:
        hasher = Hasher()
        with path.open("xb", buffering=0) as file:
            while length:
                # readinto of the buffered reader fills a whole piece and copies none of it.
                count = self.rfile.readinto(buffer[: min(length, PIECE_BYTES)])
                if not count:
                    raise ConnectionError(f"{length} bytes before the end, the client went away")
                piece = buffer[:count]
                hasher.update(piece)
                file.write(piece)
                length -= len(piece)
            hasher.digest()
            if is_durable:
                os.fdatasync(file.fileno())


class RawServer(socketserver.ThreadingTCPServer):
    """A thread for each connection."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Connection)
        self.folder = folder


def main() -> None:
    """Serve until terminated."""
    with RawServer(Path(sys.argv[1])) as server:
        print(READY, server.server_address[1], sep="", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
