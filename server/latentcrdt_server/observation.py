"""See every request: an id for it, a log line and a timing when it ends, and no silent failure."""

from __future__ import annotations

import json
import re
import secrets
import time

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from latentcrdt_server.bulk_answer import EXTENSION, BulkAnswer
from latentcrdt_server.metrics import Metrics
from latentcrdt_server.problems import PROBLEM_TYPE, internal_problem

REQUEST_ID_HEADER = "x-request-id"

_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

log = structlog.get_logger("latentcrdt_server")


class Observation:
    """ASGI middleware, the outermost: what no route catches ends here, in the log."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Name the request, pass it on, and note how it went."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        scope.setdefault("state", {})["request_id"] = request_id
        exchange = _Exchange(receive, send, request_id)
        began = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, exchange.receive, exchange.send)
            except Exception:
                log.exception("request failed", method=scope["method"], path=scope["path"])
                if exchange.status:
                    raise  # the server cuts the connection: an answer must not end as if whole
                await internal_problem(request_id)(scope, receive, exchange.send)
            finally:
                self._note(scope, exchange, time.perf_counter() - began)

    def _note(self, scope: Scope, exchange: _Exchange, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")
        labels = (route, scope["method"], str(exchange.status))
        self._metrics.request_seconds.labels(*labels).observe(seconds)
        if exchange.problem is not None:
            self._metrics.problems.labels(exchange.problem).inc()
        log.info(
            "request",
            method=scope["method"],
            path=scope["path"],
            status=exchange.status,
            problem=exchange.problem,
            seconds=round(seconds, 6),
            bytes_in=exchange.bytes_in,
            bytes_out=exchange.bytes_out + _num_passed_by(scope),
            client_left=exchange.client_left,
        )


class _Exchange:
    """Counts what passes in both directions and marks the answer with the request's id."""

    def __init__(self, receive: Receive, send: Send, request_id: str) -> None:
        self._receive = receive
        self._send = send
        self._id_header = (REQUEST_ID_HEADER.encode(), request_id.encode())
        self.status = 0
        self.problem: str | None = None
        """Code of the problem that was answered."""
        self._is_problem = False
        self.bytes_in = 0
        self.bytes_out = 0
        self.is_complete = False
        self.client_left = False

    async def receive(self) -> Message:
        message = await self._receive()
        self.bytes_in += len(message.get("body", b""))
        # Once an answer is complete, "disconnect" only means that there is nothing more to read.
        self.client_left |= message["type"] == "http.disconnect" and not self.is_complete
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._is_problem = Headers(raw=message["headers"]).get("content-type") == PROBLEM_TYPE
            message = {**message, "headers": [*message["headers"], self._id_header]}
        else:
            body = message.get("body", b"")
            if self._is_problem and body:  # it is small, and always sent in one piece
                self.problem = json.loads(body)["code"]
            self.bytes_out += len(body)
            self.is_complete = not message.get("more_body", False)
        await self._send(message)


def _num_passed_by(scope: Scope) -> int:
    """Return how many bytes of the answer went to the socket without passing through here."""
    bulk: BulkAnswer | None = scope.get("extensions", {}).get(EXTENSION)
    return 0 if bulk is None else bulk.num_sent


def _request_id(headers: Headers) -> str:
    """Return the caller's id for this request if it can stand in a log, or a new one."""
    given = headers.get(REQUEST_ID_HEADER, "")
    return given if _SANE_ID.fullmatch(given) else secrets.token_hex(8)
