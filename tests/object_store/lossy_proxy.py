"""An HTTP proxy that loses answers: the service did what it was asked, and no one hears of it."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


class LossyProxy:
    """Passes requests on; ``loses`` is asked of each, by its method and path, once it was done."""

    def __init__(self, upstream: str) -> None:
        self.loses: Callable[[str, str], bool] = lambda _method, _path: False
        self.num_lost = 0
        self._upstream = upstream.removeprefix("http://")
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass_on(self) -> None:
                status, headers, body = proxy.ask(self)
                if proxy.loses(self.command, self.path):
                    proxy.num_lost += 1
                    status, headers, body = 503, [], b"the answer is lost"
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                if self.command != "HEAD":
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on  # noqa: N815

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def ask(self, request: BaseHTTPRequestHandler) -> tuple[int, list[tuple[str, str]], bytes]:
        """Send a request to the service; return status, headers and body of its answer."""
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        kept = {k: v for k, v in request.headers.items() if k.lower() != "connection"}
        connection = http.client.HTTPConnection(self._upstream, timeout=60)
        try:
            connection.request(request.command, request.path, body, kept)
            answer = connection.getresponse()
            length = answer.getheader("Content-Length")
            headers = [(k, v) for k, v in answer.getheaders() if k.lower() not in HOP_BY_HOP]
            if request.command == "HEAD" and length is not None:
                headers.append(("Content-Length", length))
            return answer.status, headers, answer.read()
        finally:
            connection.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
