"""A server that answers what a test tells it to, right or wrong, and remembers each request."""

from __future__ import annotations

import json
import re
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from latentcrdt.core.fragment import Fragment

Reply = bytes | Callable[["Asked"], bytes]


@dataclass
class Asked:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class ScriptedServer:
    url: str = ""
    replies: list[Reply] = field(default_factory=list)
    """Answers in turn; after each the connection is closed."""
    asked: list[Asked] = field(default_factory=list)
    invites: bool = True
    """Whether a body whose head expects it is invited; else the answer comes instead."""

    def answer(self, request: Asked) -> bytes:
        self.asked.append(request)
        if not self.replies:
            return http(500, b"the script is over")
        reply = self.replies.pop(0)
        return reply(request) if callable(reply) else reply


def http(status: int, body: bytes = b"", **headers: str | int) -> bytes:
    lines = {"content-length": len(body), "connection": "close"}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body


def json_http(status: int, document: object, **headers: str | int) -> bytes:
    return http(status, json.dumps(document).encode(), content_type="application/json", **headers)


def problem(status: int, code: str, detail: str = "why", **headers: str | int) -> bytes:
    body = {"code": code, "detail": detail, "details": {"id": "x"}, "status": status}
    encoded = json.dumps(body).encode()
    return http(status, encoded, content_type="application/problem+json", **headers)


def holding(*fragments: Fragment) -> Callable[[Asked], bytes]:
    """What a right server answers to whatever is asked of these fragments' files."""
    files = {f"/v1/fragments/{f.fragment_id}": f.to_bytes() for f in fragments}

    def reply(asked: Asked) -> bytes:
        file, etag = files[asked.path], f'"{asked.path.rpartition("/")[2]}"'
        if asked.method == "HEAD":
            return http(200, content_length=len(file))
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", asked.headers.get("range", ""))
        if match is None:
            return http(200, file, etag=etag)
        start, stop = int(match[1]), min(int(match[2] or len(file)) + 1, len(file))
        span = f"bytes {start}-{stop - 1}/{len(file)}"
        return http(206, file[start:stop], content_range=span, etag=etag)

    return reply


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[ScriptedServer]:
    script = ScriptedServer()

    class Connection(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            line = self.rfile.readline().decode()
            if not line:
                return
            method, path, _ = line.split()
            headers = {}
            while (line := self.rfile.readline().decode().strip()) != "":
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            num_bytes = int(headers.get("content-length", 0))
            if "expect" in headers:
                if script.invites:
                    self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                else:
                    num_bytes = 0
            body = self.rfile.read(num_bytes)
            self.wfile.write(script.answer(Asked(method, path, headers, body)))

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Connection) as server:
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        scheme = "http" if tls is None else "https"
        script.url = f"{scheme}://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield script
        finally:
            server.shutdown()
            thread.join()


def refused_url() -> str:
    """An address where nobody listens: a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"
