"""HTTP byte by byte, for what a well-behaved client would never send."""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2
from latentcrdt_server.child_process import ServerProcess

from latentcrdt.core.fragment import Fragment

FRAGMENT_TYPE = "application/vnd.latentcrdt.fragment"


@dataclass(frozen=True, slots=True)
class RawAnswer:
    status: int
    headers: dict[str, str]
    body: bytes


class Wire:
    """One TCP connection to a server."""

    def __init__(self, server: ServerProcess) -> None:
        self._socket = socket.create_connection(server.address, timeout=30)
        self._received = b""

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def flood(self, data: bytes) -> None:
        """Send the same again and again: 64 MB, or until the server has had enough."""
        for _ in range(64_000_000 // len(data)):
            self.send(data)

    def request(self, method: str, path: str, *headers: str, body: bytes = b"") -> None:
        """Send a request; a POST whose headers name no type has that of a fragment."""
        if method == "POST" and not any(h.startswith("Content-Type:") for h in headers):
            headers = (f"Content-Type: {FRAGMENT_TYPE}", *headers)
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]
        self.send("\r\n".join(lines).encode() + body)

    def answer(self) -> RawAnswer:
        """Read one whole answer with a Content-Length."""
        head = self.read_until(b"\r\n\r\n")
        status_line, *lines = head.decode().rstrip().split("\r\n")
        headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}
        body = self.read(int(headers.get("content-length", 0)))
        return RawAnswer(int(status_line.split()[1]), headers, body)

    def read_until(self, mark: bytes) -> bytes:
        while mark not in self._received:
            data = self._socket.recv(65536)
            if not data:
                raise EOFError(f"the connection ended with {self._received!r}")
            self._received += data
        end = self._received.index(mark) + len(mark)
        taken, self._received = self._received[:end], self._received[end:]
        return taken

    def read(self, length: int) -> bytes:
        data = bytearray(length)
        filled = min(length, len(self._received))
        data[:filled], self._received = self._received[:filled], self._received[filled:]
        view = memoryview(data)
        while filled < length:
            count = self._socket.recv_into(view[filled:])
            if not count:
                raise EOFError(f"the connection ended {length - filled} bytes early")
            filled += count
        return bytes(data)

    def read_to_end(self) -> bytes:
        """Read until the server closes the connection."""
        taken = [self._received]
        while data := self._socket.recv(65536):
            taken.append(data)
        return b"".join(taken)

    def readable(self, within_s: float) -> bool:
        """Return whether something arrives in this time."""
        return bool(select.select([self._socket], [], [], within_s)[0])

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def push(
    http: httpx2.Client, state: str, fragment: Fragment | bytes, **headers: str
) -> httpx2.Response:
    """Push a fragment, or bytes that may be none; return the answer."""
    body = fragment if isinstance(fragment, bytes) else fragment.to_bytes()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return http.post(
        f"/v1/states/{state}/fragments",
        content=body,
        headers={"content-type": FRAGMENT_TYPE, **names},
    )


def stored(data_dir: Path) -> set[str]:
    """Return every file that a store holds, except its lock and its log of memberships."""
    files = (p.relative_to(data_dir) for p in data_dir.rglob("*") if p.is_file())
    return {str(path) for path in files if path.parts[0] in ("obj", ".staging", "quarantine")}


def memory_bytes(pid: int, name: str = "RssAnon") -> int:
    """Return what the kernel says of a process's memory: RssAnon leaves mapped files out."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise LookupError(f"no {name} in {os.fspath(f'/proc/{pid}/status')}")


def wait_until(holds: Callable[[], bool], within_s: float = 20) -> None:
    """Return once ``holds`` does; fail when it does not in time."""
    deadline = time.monotonic() + within_s
    pause = threading.Event()
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        pause.wait(0.01)


class PeakMemory:
    """Samples a server's RssAnon from another thread; ``growth_bytes`` is its highest rise."""

    def __init__(self, server: ServerProcess) -> None:
        assert server.url  # up first: a server that still starts grows by itself
        self._pid = server.pid
        self._before = memory_bytes(self._pid)
        self._highest = self._before
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    @property
    def growth_bytes(self) -> int:
        return self._highest - self._before

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._done.wait(0.003):
            self._highest = max(self._highest, memory_bytes(self._pid))
